import { Client, credentials, type ServiceError, status } from "@grpc/grpc-js";
import type { MethodDefinition } from "@grpc/proto-loader";
import { z } from "zod";
import { envelope, envelopesIn } from "./envelopes.ts";
import { CallError, type Json } from "./image-clients/image-client.ts";
import { loadProtoFiles } from "./image-clients/proto-files.ts";
import { decodeConnectDetails, decodeStatusDetails } from "./image-clients/status-details.ts";

/**
 * All services of the port as a client sees them that shares no code with the service. Messages are JSON as protobuf
 * defines it, default values may be left out. Methods are named without their package: `JobService/GetJob`. Calls that fail
 * throw a {@link CallError}.
 */
export interface JsonClient extends Disposable {
  call(method: string, request: Json): Promise<unknown>;
  /** Calls a method that streams its answer. Aborting `signal` cancels the call. */
  stream(method: string, request: Json, signal: AbortSignal): AsyncIterable<unknown>;
}

export interface JsonClientKind {
  readonly name: string;
  open(url: string): Promise<JsonClient>;
}

export const jsonClientKinds: readonly JsonClientKind[] = [
  { name: "grpc-js", open: openGrpcJs },
  { name: "fetch and JSON", open: openFetch },
];

/** grpc-js with messages by proto-loader, unconfigured. */
async function openGrpcJs(url: string): Promise<JsonClient> {
  const definitions = await loadProtoFiles(
    ...["image_service", "job_service", "asset_service", "catalog_service"].map(
      (name) => `comfyrpc/v1/${name}.proto`,
    ),
  );
  const client = new Client(new URL(url).host, credentials.createInsecure(), {
    "grpc.use_local_subchannel_pool": 1,
  });
  const methodOf = (method: string): MethodDefinition<object, object> => {
    const [service = "", name = ""] = method.split("/");
    const methods = definitions[`comfyrpc.v1.${service}`];
    const found = methods === undefined || "format" in methods ? undefined : methods[name];
    if (found === undefined) {
      throw new Error(`there is no method ${method}`);
    }
    return found;
  };
  return {
    call(method, request) {
      const { path, requestSerialize, responseDeserialize } = methodOf(method);
      return new Promise((resolve, reject) => {
        client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, (error, response) => {
          if (error) toCallError(error).then(reject, reject);
          else resolve(response);
        });
      });
    },
    async *stream(method, request, signal) {
      const { path, requestSerialize, responseDeserialize } = methodOf(method);
      const call = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, request);
      const cancel = () => call.cancel();
      signal.addEventListener("abort", cancel);
      try {
        for await (const message of call) yield message;
      } catch (error) {
        throw await toCallError(error);
      } finally {
        signal.removeEventListener("abort", cancel);
      }
    },
    [Symbol.dispose]: () => client.close(),
  };
}

async function toCallError(error: unknown): Promise<unknown> {
  if (!isGrpcError(error)) return error;
  const [details] = error.metadata.get("grpc-status-details-bin");
  return new CallError(
    String(status[error.code]).toLowerCase(),
    error.details,
    Buffer.isBuffer(details) ? await decodeStatusDetails(details) : new Map(),
  );
}

function isGrpcError(error: unknown): error is ServiceError {
  return error instanceof Error && "code" in error && "metadata" in error && "details" in error;
}

/** Nothing but `fetch`, with the Connect protocol in JSON. */
async function openFetch(url: string): Promise<JsonClient> {
  const post = (method: string, type: string, body: string | Buffer, signal?: AbortSignal) =>
    fetch(`${url}/comfyrpc.v1.${method}`, {
      method: "POST",
      headers: { "content-type": type },
      body,
      ...(signal && { signal }),
    });
  return {
    async call(method, request) {
      const response = await post(method, "application/json", JSON.stringify(request));
      const answer: unknown = await response.json();
      if (!response.ok) throw await failureIn(answer);
      return answer;
    },
    async *stream(method, request, signal) {
      const body = envelope(Buffer.from(JSON.stringify(request)));
      const response = await post(method, "application/connect+json", body, signal);
      if (response.body === null) throw new Error(`${method} answers nothing`);
      for await (const { flags, data } of envelopesIn(response.body)) {
        const message: unknown = JSON.parse(data.toString("utf8"));
        if ((flags & endOfStream) === 0) yield message;
        else if (streamEnd.parse(message).error !== undefined) {
          throw await failureIn(streamEnd.parse(message).error);
        }
      }
    },
    [Symbol.dispose]: () => {},
  };
}

/** Flag of the last message of a stream, which holds the error if there is one. */
const endOfStream = 0b10;
const streamEnd = z.object({ error: z.unknown() }).partial();
const failure = z.object({ code: z.string(), message: z.string().default(""), details: z.unknown() });

async function failureIn(answer: unknown): Promise<CallError> {
  const { code, message, details } = failure.parse(answer);
  return new CallError(code, message, await decodeConnectDetails(details ?? []));
}
