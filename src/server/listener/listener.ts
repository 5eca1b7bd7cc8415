import type { AddressInfo, Server, Socket } from "node:net";
import { Code, ConnectError } from "@connectrpc/connect";
import { finishBlockedWrites } from "./finish-blocked-writes.ts";
import { createPlaintextFront, createTlsFront, type Front } from "./front.ts";
import type { HttpHandler } from "./http-handler.ts";
import { createHttp1Server, type InnerServer } from "./http1-server.ts";
import { createHttp2Server } from "./http2-server.ts";
import { lingerAfterAnswer } from "./linger.ts";
import { type ListenerOptions, resolveLimits } from "./listener-options.ts";
import { watchStalledResponses } from "./stalled-responses.ts";

/**
 * One open port for HTTP/1.1 and HTTP/2. Disposing of it ends every call: their signals are aborted, and connections
 * that are still open a second later are destroyed.
 */
export interface Listener extends AsyncDisposable {
  /** Where a client on this machine reaches it, such as `http://127.0.0.1:8080`. */
  readonly url: string;
  /** The TCP port, also if the system chose it. */
  readonly port: number;

  /**
   * Ends without cutting calls off: no new connection or call is taken, and calls that run have `graceMs` to end. Those
   * that still run then are told by `ListenerOptions.shutdown`, and have one more second to answer. Resolves when
   * every connection is closed. Aborting `signal` ends the grace time. Further calls wait for the first one, and change
   * nothing.
   */
  drain(graceMs: number, signal: AbortSignal): Promise<void>;
}

/**
 * Opens the port.
 *
 * @throws RangeError if a limit is out of range; Error if the port cannot be opened or the certificate cannot be read
 */
export async function startListener(options: ListenerOptions): Promise<Listener> {
  const limits = resolveLimits(options);
  const { logger } = options;
  const stalled = watchStalledResponses(limits.stalledStreamTimeoutMs, logger);
  const handler: HttpHandler = (req, res) => {
    finishBlockedWrites(res);
    lingerAfterAnswer(req, res);
    stalled.watch(res);
    options.handler(req, res);
  };
  const http1 = createHttp1Server(limits, handler);
  const http2 = createHttp2Server(limits, handler, logger);
  const closeInner = () => {
    stalled[Symbol.dispose]();
    http1.close();
    http2.close();
  };

  try {
    const front = options.tls
      ? createTlsFront(options.tls, limits.sniffTimeoutMs, http1, http2, logger)
      : createPlaintextFront(limits.sniffTimeoutMs, http1, http2);
    front.server.maxConnections = limits.maxConnections;
    await listen(front.server, options.host, options.port);
    front.server.on("error", (error) => logger.error({ err: error }, "a connection could not be taken"));
    return new OpenListener(front, [http1, http2], closeInner, options);
  } catch (error) {
    closeInner();
    throw error;
  }
}

/** How long calls have to answer once they were told to stop, in milliseconds. */
const lastWordsMs = 1_000;

class OpenListener implements Listener {
  readonly url: string;
  readonly port: number;
  readonly #front: Front;
  readonly #inner: readonly InnerServer[];
  readonly #closeInner: () => void;
  readonly #shutdown: AbortController;
  readonly #sockets = new Set<Socket>();
  readonly #disposing = new AbortController();
  #drained: Promise<void> | undefined;

  constructor(front: Front, inner: readonly InnerServer[], closeInner: () => void, options: ListenerOptions) {
    this.#front = front;
    this.#inner = inner;
    this.#closeInner = closeInner;
    this.#shutdown = options.shutdown;
    const { address, port } = addressOf(front.server);
    this.port = port;
    this.url = `${options.tls ? "https" : "http"}://${hostInUrl(address)}:${port}`;
    front.server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    });
  }

  drain(graceMs: number, signal: AbortSignal): Promise<void> {
    this.#drained ??= this.#drain(graceMs, AbortSignal.any([signal, this.#disposing.signal]));
    return this.#drained;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposing.abort();
    await this.drain(0, this.#disposing.signal);
  }

  async #drain(graceMs: number, signal: AbortSignal): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#front.server.close(() => resolve()));
    this.#front.dropUndecided();
    for (const server of this.#inner) server.drain();

    if (!(await settlesWithin(closed, graceMs, signal))) {
      this.#shutdown.abort(
        new ConnectError("the server is shutting down; try again elsewhere or in a moment", Code.Unavailable),
      );
      await settlesWithin(closed, lastWordsMs);
      for (const socket of this.#sockets) socket.destroy();
      await closed;
    }
    this.#closeInner();
  }
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (cause: Error) =>
      reject(new Error(`cannot listen on ${host}:${port}: ${cause.message}`, { cause }));
    server.once("error", onError);
    server.listen({ host, port }, () => {
      server.off("error", onError);
      resolve();
    });
  });
}

function addressOf(server: Server): AddressInfo {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server has no TCP address");
  return address;
}

/** An address that can be called: one that means all interfaces becomes the loopback address. */
function hostInUrl(address: string): string {
  if (address === "0.0.0.0") return "127.0.0.1";
  if (address === "::") return "[::1]";
  return address.includes(":") ? `[${address}]` : address;
}

/** Whether `promise` settles before `timeoutMs` have passed and `signal` is aborted. */
async function settlesWithin(
  promise: Promise<unknown>,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<boolean> {
  const timeout = new AbortController();
  const timer = setTimeout(() => timeout.abort(), timeoutMs);
  const over = signal ? AbortSignal.any([signal, timeout.signal]) : timeout.signal;
  try {
    return await Promise.race([
      promise.then(() => true),
      new Promise<boolean>((resolve) => {
        if (over.aborted) resolve(false);
        over.addEventListener("abort", () => resolve(false), { once: true });
      }),
    ]);
  } finally {
    clearTimeout(timer);
  }
}
