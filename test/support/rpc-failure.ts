import { tmpdir } from "node:os";
import { create, type DescMessage, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { expect } from "vitest";
import { type NodeFailure, WorkflowFailureSchema } from "../../gen/comfyrpc/v1/error_pb.js";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.js";

/** What a call failed with, its `google.rpc` details unpacked. */
export interface RpcFailure {
  /** Name of the status, such as `InvalidArgument`. */
  readonly code: string;
  readonly message: string;
  /** `ErrorInfo.reason`; `undefined` if there is no such detail. */
  readonly reason: string | undefined;
  readonly metadata: Readonly<Record<string, string>>;
  /** Paths of the fields that `BadRequest` names. */
  readonly fields: readonly string[];
  readonly nodes: readonly NodeFailure[];
  /** `RetryInfo` in milliseconds. */
  readonly retryAfterMs: number | undefined;
  /** Everything that came with it as one text: message, details as bytes, headers and trailers. */
  readonly everything: string;
}

/** Reads what a call failed with; any error that is no status of a call is thrown again. */
export function toRpcFailure(error: unknown): RpcFailure {
  if (!(error instanceof ConnectError)) {
    throw error;
  }
  const info = detail(error, ErrorInfoSchema);
  const retryDelay = detail(error, RetryInfoSchema)?.retryDelay;
  return {
    code: Code[error.code],
    message: error.rawMessage,
    reason: info?.reason,
    metadata: info?.metadata ?? {},
    fields: (detail(error, BadRequestSchema)?.fieldViolations ?? []).map(({ field }) => field),
    nodes: detail(error, WorkflowFailureSchema)?.nodes ?? [],
    retryAfterMs: retryDelay && durationMs(retryDelay),
    everything: [error.rawMessage, ...error.details.map(asText), ...[...error.metadata].flat()].join("\n"),
  };
}

/** Waits for `call` to fail, and returns with what. */
export async function failureOf(call: Promise<unknown>): Promise<RpcFailure> {
  return await call.then(
    () => {
      throw new Error("the call has not failed");
    },
    (error: unknown) => toRpcFailure(error),
  );
}

/** Expects `text`, which a caller has got, to tell nothing of the machine, the process or the address of the backend. */
export function expectNoLeak(text: string): void {
  for (const secret of secrets) {
    expect(text).not.toMatch(secret);
  }
}

const secrets: readonly RegExp[] = [
  /\/(?:opt|tmp|home|root|srv|usr|var|etc|mnt|data)\//,
  /[A-Z]:\\/,
  /file:\/\//,
  /https?:\/\//,
  /Traceback|File "|\.py\b/,
  /\bat .*:\d+:\d+|node:internal|node_modules|\.[jt]s:\d+/,
  /\b(?:ECONNREFUSED|ECONNRESET|ENOENT|ENOTDIR|EACCES|EPIPE|UND_ERR_\w+)\b/,
  /\b\d{1,3}(?:\.\d{1,3}){3}\b|\[::1\]|\blocalhost\b/,
  ...[process.cwd(), tmpdir()].map((directory) => new RegExp(directory.replaceAll(/\W/g, "\\$&"))),
];

function detail<Desc extends DescMessage>(error: ConnectError, desc: Desc): MessageShape<Desc> | undefined {
  return error.findDetails(desc)[0];
}

function asText(detail: ConnectError["details"][number]): string {
  const bytes = "desc" in detail ? toBinary(detail.desc, create(detail.desc, detail.value)) : detail.value;
  return Buffer.from(bytes).toString("utf8");
}
