import { isIP } from "node:net";
import { checkServerIdentity, type PeerCertificate } from "node:tls";
import {
  create,
  type DescMessage,
  type DescMethodClientStreaming,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import {
  type ChannelCredentials,
  Client,
  type ClientOptions,
  type ClientWritableStream,
  credentials,
  Metadata,
  status,
} from "@grpc/grpc-js";
import { RpcError, toRpcError } from "./rpc-error.ts";
import { grpcTarget, isLoopback, type ServerAddress } from "./server-address.ts";

/** How to reach a service. */
export interface GrpcChannelOptions {
  readonly address: ServerAddress;
  /** Certificates to trust, PEM. Default: those that Node trusts. Only used with TLS. */
  readonly ca?: Buffer;
  /** Largest message to accept, in bytes. Default: 65 MiB, which is above the largest inline limit of the service. */
  readonly maxReceiveBytes?: number;
  /** Settings of grpc-js that replace ours. */
  readonly grpc?: ClientOptions;
}

/** What one call may have beside its request. */
export interface CallOptions {
  /** Longest time the call may take, in milliseconds; the service is told. Default: no limit. */
  readonly timeoutMs?: number;
  /** Request headers. */
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * Calls methods that are described by protobuf-es over gRPC by grpc-js. It connects with the first call, and again
 * after the connection was lost. Dispose of it to close the connection; calls that still run are not waited for.
 *
 * Failed calls throw {@link RpcError}.
 */
export class GrpcChannel implements Disposable {
  readonly #client: Client;

  constructor(options: GrpcChannelOptions) {
    const { address, ca } = options;
    this.#client = new Client(
      grpcTarget(address),
      address.tls ? tlsCredentials(address.host, ca) : credentials.createInsecure(),
      { ...clientOptions(options), ...options.grpc },
    );
  }

  /**
   * Calls a unary method. Aborting `signal` cancels the call.
   *
   * @throws RpcError `CANCELLED` when aborted, `DEADLINE_EXCEEDED` when the time is up, and what the service says
   */
  unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    options: CallOptions,
    signal: AbortSignal,
  ): Promise<MessageShape<O>> {
    const { promise, resolve, reject } = Promise.withResolvers<MessageShape<O>>();
    if (signal.aborted) return Promise.reject(cancelledBeforeStart(signal));
    const call = this.#client.makeUnaryRequest(
      pathOf(method),
      (message: MessageShape<I>) => serialize(method.input, message),
      (bytes): MessageShape<O> => fromBinary(method.output, bytes),
      create(method.input, request),
      toMetadata(options),
      toCallOptions(options),
      (error, response) => {
        signal.removeEventListener("abort", cancel);
        if (response === undefined) reject(toRpcError(error));
        else resolve(response);
      },
    );
    const cancel = () => call.cancel();
    signal.addEventListener("abort", cancel, { once: true });
    return promise;
  }

  /**
   * Calls a method that streams its answers, and yields them as they come. The call starts with the first `next()`.
   * Aborting `signal`, or leaving the loop early, cancels the call.
   *
   * @throws RpcError as {@link unary} does
   */
  async *serverStreaming<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    request: MessageInitShape<I>,
    options: CallOptions,
    signal: AbortSignal,
  ): AsyncGenerator<MessageShape<O>, void, undefined> {
    if (signal.aborted) throw cancelledBeforeStart(signal);
    const call = this.#client.makeServerStreamRequest(
      pathOf(method),
      (message: MessageShape<I>) => serialize(method.input, message),
      (bytes): MessageShape<O> => fromBinary(method.output, bytes),
      create(method.input, request),
      toMetadata(options),
      toCallOptions(options),
    );
    // The status of a cancelled call comes after the loop has let go of the stream; without a listener it would be
    // an uncaught error.
    call.on("error", () => {});
    const cancel = () => call.cancel();
    signal.addEventListener("abort", cancel, { once: true });
    try {
      for await (const message of call) yield message;
    } catch (error) {
      throw toRpcError(error);
    } finally {
      signal.removeEventListener("abort", cancel);
      call.cancel();
    }
  }

  /**
   * Calls a method that takes a stream of requests, which are asked for one by one as the service takes them. If the
   * service answers before the last, the rest is not asked for. Aborting `signal`, or a failure of `requests`, cancels
   * the call; that failure is then thrown.
   *
   * @throws RpcError as {@link unary} does
   */
  async clientStreaming<I extends DescMessage, O extends DescMessage>(
    method: DescMethodClientStreaming<I, O>,
    requests: AsyncIterable<MessageInitShape<I>>,
    options: CallOptions,
    signal: AbortSignal,
  ): Promise<MessageShape<O>> {
    if (signal.aborted) throw cancelledBeforeStart(signal);
    const answer = Promise.withResolvers<MessageShape<O>>();
    const call = this.#client.makeClientStreamRequest(
      pathOf(method),
      (message: MessageShape<I>) => serialize(method.input, message),
      (bytes): MessageShape<O> => fromBinary(method.output, bytes),
      toMetadata(options),
      toCallOptions(options),
      (error, response) => {
        if (response === undefined) answer.reject(toRpcError(error));
        else answer.resolve(response);
      },
    );
    // Writing after the service has answered fails, which the answer says better.
    call.on("error", () => {});
    const cancel = () => call.cancel();
    signal.addEventListener("abort", cancel, { once: true });
    try {
      await sendAll(call, method.input, requests, answer.promise);
      return await answer.promise;
    } finally {
      signal.removeEventListener("abort", cancel);
      call.cancel();
    }
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}

/** Writes `requests`, each when the one before has left, until `answer` is there. */
async function sendAll<I extends DescMessage>(
  call: ClientWritableStream<MessageShape<I>>,
  schema: I,
  requests: AsyncIterable<MessageInitShape<I>>,
  answer: Promise<unknown>,
): Promise<void> {
  let isAnswered = false;
  const answered = answer.then(
    () => {},
    // The caller looks at the failure itself.
    () => {},
  );
  void answered.then(() => {
    isAnswered = true;
  });
  for await (const request of requests) {
    if (isAnswered) return;
    const sent = Promise.withResolvers<void>();
    call.write(create(schema, request), () => sent.resolve());
    await Promise.race([sent.promise, answered]);
  }
  call.end();
}

function clientOptions({ address, maxReceiveBytes = 65 * 1024 * 1024 }: GrpcChannelOptions): ClientOptions {
  return {
    "grpc.max_receive_message_length": maxReceiveBytes,
    "grpc-node.flow_control_window": 1024 * 1024,
    "grpc.keepalive_time_ms": 30_000,
    "grpc.keepalive_timeout_ms": 10_000,
    "grpc.initial_reconnect_backoff_ms": 250,
    "grpc.max_reconnect_backoff_ms": 2_000,
    // Service configurations in DNS are rare, and asking for them delays the first call.
    "grpc.service_config_disable_resolution": 1,
    // With a pool of its own, the connection is closed as soon as the client is.
    "grpc.use_local_subchannel_pool": 1,
    ...(isLoopback(address.host) ? { "grpc.enable_http_proxy": 0 } : {}),
    ...(isIP(address.host) ? { "grpc.ssl_target_name_override": nameOfNobody } : {}),
  };
}

/**
 * grpc-js sends the host as the TLS server name, which Node refuses for an IP address (RFC 6066 § 3). A name that
 * belongs to nobody is sent in its place, and the certificate is checked against the address.
 */
function tlsCredentials(host: string, ca: Buffer | undefined): ChannelCredentials {
  const verify = isIP(host) ? { checkServerIdentity: checkAddress } : {};
  return credentials.createSsl(ca ?? null, null, null, verify);

  function checkAddress(_name: string, certificate: PeerCertificate): Error | undefined {
    return checkServerIdentity(host, certificate);
  }
}

const nameOfNobody = "address.invalid";

function pathOf(method: DescMethodUnary | DescMethodServerStreaming | DescMethodClientStreaming): string {
  return `/${method.parent.typeName}/${method.name}`;
}

function serialize<T extends DescMessage>(schema: T, message: MessageShape<T>): Buffer {
  const bytes = toBinary(schema, message);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function toMetadata({ headers = {} }: CallOptions): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  return metadata;
}

function toCallOptions({ timeoutMs }: CallOptions): { deadline?: Date } {
  return timeoutMs === undefined ? {} : { deadline: new Date(Date.now() + timeoutMs) };
}

function cancelledBeforeStart(signal: AbortSignal): RpcError {
  return new RpcError(status.CANCELLED, "cancelled before the call was made", undefined, {
    cause: signal.reason,
  });
}
