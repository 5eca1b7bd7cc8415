import { z } from "zod";
import { startClient } from "./client-process.ts";
import { CallError, type CallOptions, type ImageClient, imageService, type Json } from "./image-client.ts";
import { decodeConnectDetails } from "./status-details.ts";

/** `buf curl`, a client in Go, one process a call. It has no schema but what the reflection of the service tells. */
export function openBufCurl(protocol: "grpc" | "grpcweb" | "connect"): (url: string) => Promise<ImageClient> {
  return async (url) => {
    const call = (method: string, request: Json, options: CallOptions, signal: AbortSignal) =>
      messages([protocol, `${url}/${imageService}/${method}`], request, options, signal);
    return {
      generate: async (spec, options, signal) => single(call("Generate", { spec }, options, signal)),
      generateWithProgress: (spec, options, signal) =>
        call("GenerateWithProgress", { spec }, options, signal),
      health: async (signal) => single(call("Health", {}, {}, signal)),
      [Symbol.asyncDispose]: async () => {},
    };
  };
}

async function* messages(
  [protocol, url]: readonly [protocol: string, url: string],
  request: Json,
  { timeoutMs }: CallOptions,
  signal: AbortSignal,
): AsyncGenerator<unknown> {
  if (timeoutMs !== undefined) throw new Error("buf curl knows no deadlines");
  // Reflection works by streams that go both ways, which need HTTP/2.
  const args = ["curl", "--protocol", protocol, "--http2-prior-knowledge", "--data", "@-", url];
  const { stdout, ended } = startClient("node_modules/.bin/buf", args, JSON.stringify(request), signal);
  yield* jsonObjectsIn(stdout);
  const { exitCode, stderr } = await ended;
  if (exitCode !== 0) throw await toError(exitCode, stderr);
}

/** Indented JSON objects, one after the other: each ends with the first brace at the beginning of a line. */
async function* jsonObjectsIn(bytes: AsyncIterable<Buffer>): AsyncGenerator<unknown> {
  let parts: Buffer[] = [];
  for await (const part of bytes) {
    parts.push(part);
    if (!part.includes("\n")) continue;
    let rest = Buffer.concat(parts);
    for (let end = rest.indexOf("\n}\n"); end !== -1; end = rest.indexOf("\n}\n")) {
      yield JSON.parse(rest.toString("utf8", 0, end + 2));
      rest = rest.subarray(end + 3);
    }
    parts = [rest];
  }
  const rest = Buffer.concat(parts).toString("utf8").trim();
  if (rest !== "") yield JSON.parse(rest);
}

async function single(all: AsyncIterable<unknown>): Promise<unknown> {
  const [message, ...more] = await Array.fromAsync(all);
  if (message === undefined || more.length > 0) throw new Error("buf curl did not print one message");
  return message;
}

const failure = z.object({ code: z.string(), message: z.string().default(""), details: z.unknown() });

async function toError(exitCode: number | null, stderr: string): Promise<Error> {
  const json = stderr.slice(stderr.indexOf("{"));
  if (exitCode === null || !json.startsWith("{")) {
    return new Error(`buf curl ended with ${exitCode ?? "a signal"}: ${stderr}`);
  }
  const { code, message, details } = failure.parse(JSON.parse(json));
  return new CallError(code, message, await decodeConnectDetails(details));
}
