import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";

/** A relay in front of a server, at which the network can fail. Disposing of it closes it and all connections. */
export interface TcpRelay extends AsyncDisposable {
  readonly port: number;
  /** Connections that are open now. */
  readonly connectionCount: number;
  /** Closes all connections and refuses new ones. */
  stop(): Promise<void>;
  /** Takes connections again, on the same port. */
  start(): Promise<void>;
  /** Takes connections, and passes nothing on until `speak`. */
  fallSilent(): void;
  speak(): void;
  /** Closes the next connection that is opened once this many bytes came from the server, once per call. */
  cutAfter(bytes: number): void;
  /** Bytes that came from the server so far. */
  readonly receivedBytes: number;
}

/** Starts a relay to `host`:`port` on a free port of the loopback address. */
export async function startTcpRelay(host: string, port: number): Promise<TcpRelay> {
  const relay = new Relay(host, port);
  await relay.start();
  return relay;
}

class Relay implements TcpRelay {
  readonly #host: string;
  readonly #targetPort: number;
  readonly #sockets = new Set<Socket>();
  readonly #cuts: number[] = [];
  #server: Server | undefined;
  #isSilent = false;
  port = 0;
  receivedBytes = 0;

  constructor(host: string, targetPort: number) {
    this.#host = host;
    this.#targetPort = targetPort;
  }

  get connectionCount(): number {
    return this.#sockets.size / 2;
  }

  async start(): Promise<void> {
    const server = createServer((socket) => this.#relay(socket));
    this.#server = server;
    server.listen(this.port, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    this.port = typeof address === "object" && address !== null ? address.port : 0;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server !== undefined) {
      const closed = once(server, "close");
      server.close();
      for (const socket of this.#sockets) {
        socket.destroy();
      }
      await closed;
    }
  }

  fallSilent(): void {
    this.#isSilent = true;
    for (const socket of this.#sockets) {
      socket.pause();
    }
  }

  speak(): void {
    this.#isSilent = false;
    for (const socket of this.#sockets) {
      socket.resume();
    }
  }

  cutAfter(bytes: number): void {
    this.#cuts.push(bytes);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #relay(client: Socket): void {
    const server = connect(this.#targetPort, this.#host);
    let remaining = this.#cuts.shift() ?? Number.POSITIVE_INFINITY;
    this.#pass(client, server, () => {});
    this.#pass(server, client, (bytes) => {
      this.receivedBytes += bytes;
      remaining -= bytes;
      if (remaining <= 0) {
        server.destroy();
      }
    });
  }

  #pass(from: Socket, to: Socket, count: (bytes: number) => void): void {
    this.#sockets.add(from);
    from.on("error", () => {});
    from.on("close", () => {
      this.#sockets.delete(from);
      to.destroy();
    });
    from.on("end", () => to.end());
    from.on("data", (bytes) => {
      if (!to.write(bytes)) {
        from.pause();
      }
      count(bytes.length);
    });
    to.on("drain", () => {
      if (!this.#isSilent) {
        from.resume();
      }
    });
    if (this.#isSilent) {
      from.pause();
    }
  }
}
