import { type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";
import { type Any, anyUnpack, durationMs } from "@bufbuild/protobuf/wkt";
import { type ServiceError, status } from "@grpc/grpc-js";
import { type NodeFailure, WorkflowFailureSchema } from "../../gen/comfyrpc/v1/error_pb.js";
import {
  type BadRequest_FieldViolation,
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from "../../gen/google/rpc/error_details_pb.js";
import { type Status, StatusSchema } from "../../gen/google/rpc/status_pb.js";

/** What a call failed with: its gRPC status, and the `google.rpc` details that came with it. */
export class RpcError extends Error {
  override readonly name = "RpcError";
  /** The gRPC status code. */
  readonly code: status;
  readonly details: RpcErrorDetails;

  /** @param message the text of the status, without the code in front of it */
  constructor(code: status, message: string, details: RpcErrorDetails = noDetails, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.details = details;
  }

  /** Name of the status code, such as `INVALID_ARGUMENT`. */
  get codeName(): string {
    return status[this.code] ?? `code ${this.code}`;
  }
}

/** The details of an {@link RpcError}. All are empty when the failure was made by the client or by a proxy. */
export interface RpcErrorDetails {
  /** `ErrorInfo.reason`, such as `MODEL_NOT_FOUND`; see `ErrorReason` in the API. */
  readonly reason: string | undefined;
  /** `ErrorInfo.domain`, such as `comfyrpc`. */
  readonly domain: string | undefined;
  /** `ErrorInfo.metadata`. */
  readonly metadata: Readonly<Record<string, string>>;
  /** `BadRequest`: the fields that are wrong. */
  readonly violations: readonly BadRequest_FieldViolation[];
  /** `WorkflowFailure`: the nodes that failed. */
  readonly nodes: readonly NodeFailure[];
  /** `RetryInfo`: when to try again, in milliseconds from the moment the error came. */
  readonly retryAfterMs: number | undefined;
}

/** Makes an {@link RpcError} of what grpc-js reports; what it did not report is returned as it is. */
export function toRpcError(error: unknown): unknown {
  if (!isGrpcError(error)) return error;
  const rich = readRichStatus(error);
  // grpc-js leaves `%3A` and the like in the plain text, where it decodes with decodeURI; the rich status is exact.
  const message = rich?.message || error.details;
  return new RpcError(error.code, message, rich ? unpackDetails(rich.details) : noDetails, { cause: error });
}

/** Makes an {@link RpcError} of a status that a message carries, such as that of a job which failed. */
export function rpcErrorOf({ code, message, details }: Status): RpcError {
  return new RpcError(code in status ? code : status.UNKNOWN, message, unpackDetails(details));
}

const noDetails: RpcErrorDetails = {
  reason: undefined,
  domain: undefined,
  metadata: {},
  violations: [],
  nodes: [],
  retryAfterMs: undefined,
};

function isGrpcError(error: unknown): error is ServiceError {
  return error instanceof Error && "code" in error && typeof error.code === "number" && "details" in error;
}

/** gRPC carries a serialised `google.rpc.Status` in the trailer `grpc-status-details-bin`. */
function readRichStatus(error: ServiceError): Status | undefined {
  const [trailer] = error.metadata?.get("grpc-status-details-bin") ?? [];
  if (!Buffer.isBuffer(trailer)) return undefined;
  try {
    return fromBinary(StatusSchema, trailer);
  } catch {
    // A proxy may have cut the trailer. The status itself is known, and worth more than a complaint about this.
    return undefined;
  }
}

function unpackDetails(packed: readonly Any[]): RpcErrorDetails {
  const info = unpack(packed, ErrorInfoSchema);
  const retryDelay = unpack(packed, RetryInfoSchema)?.retryDelay;
  return {
    reason: info?.reason,
    domain: info?.domain,
    metadata: info?.metadata ?? {},
    violations: unpack(packed, BadRequestSchema)?.fieldViolations ?? [],
    nodes: unpack(packed, WorkflowFailureSchema)?.nodes ?? [],
    retryAfterMs: retryDelay && durationMs(retryDelay),
  };
}

function unpack<T extends DescMessage>(packed: readonly Any[], schema: T): MessageShape<T> | undefined {
  for (const any of packed) {
    const message = anyUnpack(any, schema);
    if (message) return message;
  }
  return undefined;
}
