import { Client, credentials, type ServiceError, status } from "@grpc/grpc-js";
import type { MethodDefinition, PackageDefinition } from "@grpc/proto-loader";
import { CallError, type CallOptions, type ImageClient, imageService, type Json } from "./image-client.ts";
import { loadProtoFiles } from "./proto-files.ts";
import { decodeStatusDetails } from "./status-details.ts";

/** grpc-js with messages by proto-loader, unconfigured: it shares no code with the service, not even generated code. */
export async function openGrpcJs(url: string): Promise<ImageClient> {
  const methods = methodsOf(await loadProtoFiles("comfyrpc/v1/image_service.proto"));
  const client = new Client(new URL(url).host, credentials.createInsecure(), {
    "grpc.use_local_subchannel_pool": 1,
  });

  const method = (name: string): MethodDefinition<object, object> => {
    const found = methods[name];
    if (!found) throw new Error(`${imageService} has no method ${name}`);
    return found;
  };

  function unary(name: string, request: Json, options: CallOptions, signal: AbortSignal): Promise<unknown> {
    const { path, requestSerialize, responseDeserialize } = method(name);
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const call = client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      deadlineOf(options),
      (error, response) => {
        signal.removeEventListener("abort", cancel);
        if (error) toCallError(error).then(reject, reject);
        else resolve(response);
      },
    );
    const cancel = () => call.cancel();
    signal.addEventListener("abort", cancel);
    return promise;
  }

  async function* stream(
    name: string,
    request: Json,
    options: CallOptions,
    signal: AbortSignal,
  ): AsyncGenerator<unknown> {
    const { path, requestSerialize, responseDeserialize } = method(name);
    const call = client.makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      deadlineOf(options),
    );
    const cancel = () => call.cancel();
    signal.addEventListener("abort", cancel);
    try {
      for await (const message of call) yield message;
    } catch (error) {
      throw await toCallError(error);
    } finally {
      signal.removeEventListener("abort", cancel);
    }
  }

  return {
    generate: (spec, options, signal) => unary("Generate", { spec }, options, signal),
    generateWithProgress: (spec, options, signal) =>
      stream("GenerateWithProgress", { spec }, options, signal),
    health: (signal) => unary("Health", {}, {}, signal),
    [Symbol.asyncDispose]: async () => client.close(),
  };
}

function methodsOf(definitions: PackageDefinition): Record<string, MethodDefinition<object, object>> {
  const service = definitions[imageService];
  if (service === undefined || "format" in service) throw new Error(`there is no service ${imageService}`);
  return service;
}

function deadlineOf({ timeoutMs }: CallOptions): { deadline?: number } {
  return timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs };
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
