import { once } from "node:events";
import { type ChannelCredentials, Client, credentials, type ServiceError } from "@grpc/grpc-js";
import { load, type MethodDefinition } from "@grpc/proto-loader";

/**
 * A client that shares no code with the server: its own HTTP/2, protobuf and status handling. Messages are plain
 * objects with the field names of the `.proto` in camel case.
 */
export interface GrpcJsClient extends Disposable {
  /** Calls a unary method, such as `/comfyrpc.v1.ImageService/Generate`. */
  call(path: string, request: object): Promise<unknown>;
  /** Calls a server-streaming method. Aborting `signal` cancels the call. */
  stream(path: string, request: object, signal?: AbortSignal): AsyncIterable<unknown>;
  /** Calls a client-streaming method, as fast as the server takes what `requests` yields. */
  upload(path: string, requests: AsyncIterable<object>): Promise<unknown>;
  /** Calls a method that no `.proto` knows, and returns how that failed. */
  callUnknown(path: string): Promise<ServiceError>;
}

/**
 * @param address `host:port`
 * @param protoFile path below `proto/` of the file that declares the services
 */
export async function connectGrpcJs(
  address: string,
  protoFile: string,
  channel: ChannelCredentials = credentials.createInsecure(),
): Promise<GrpcJsClient> {
  const methods = await methodsOf(protoFile);
  const client = new Client(address, channel);

  const methodAt = (path: string): MethodDefinition<object, object> => {
    const method = methods.get(path);
    if (!method) throw new Error(`${protoFile} has no method ${path}`);
    return method;
  };
  return {
    call(path, request) {
      const { requestSerialize, responseDeserialize } = methodAt(path);
      return new Promise((resolve, reject) => {
        client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, (error, response) =>
          error ? reject(error) : resolve(response),
        );
      });
    },
    stream(path, request, signal) {
      const { requestSerialize, responseDeserialize } = methodAt(path);
      const call = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, request);
      signal?.addEventListener("abort", () => call.cancel());
      return call;
    },
    upload(path, requests) {
      const { requestSerialize, responseDeserialize } = methodAt(path);
      return new Promise((resolve, reject) => {
        const answered = new AbortController();
        const call = client.makeClientStreamRequest(
          path,
          requestSerialize,
          responseDeserialize,
          (error, response) => {
            answered.abort();
            if (error) reject(error);
            else resolve(response);
          },
        );
        const send = async () => {
          for await (const request of requests) {
            if (!call.write(request)) await once(call, "drain", { signal: answered.signal });
          }
          call.end();
        };
        send().catch(() => call.cancel()); // which does nothing to a call that has been answered
      });
    },
    callUnknown(path) {
      const asIs = (bytes: Buffer) => bytes;
      return new Promise((resolve, reject) => {
        client.makeUnaryRequest(path, asIs, asIs, Buffer.alloc(0), (error) =>
          error ? resolve(error) : reject(new Error(`${path} exists`)),
        );
      });
    },
    [Symbol.dispose]: () => client.close(),
  };
}

async function methodsOf(protoFile: string): Promise<Map<string, MethodDefinition<object, object>>> {
  const definitions = await load(protoFile, { includeDirs: ["proto"], defaults: true, enums: String });
  const methods = new Map<string, MethodDefinition<object, object>>();
  for (const definition of Object.values(definitions)) {
    if ("format" in definition) continue; // a message or an enum
    for (const method of Object.values(definition)) methods.set(method.path, method);
  }
  return methods;
}
