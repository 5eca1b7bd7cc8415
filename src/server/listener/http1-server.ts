import { createServer } from "node:http";
import type { Socket } from "node:net";
import type { HttpHandler, HttpResponse } from "./http-handler.ts";
import type { ListenerLimits } from "./listener-options.ts";

/** A server of one version of HTTP that is given its connections. */
export interface InnerServer {
  /** Takes over a connection. */
  accept(socket: Socket): void;
  /** Closes each connection as soon as no call runs on it. Given connections later, it closes them too. */
  drain(): void;
  /** Stops what runs in the background. Connections are closed by their owner. */
  close(): void;
}

/** Serves HTTP/1.1, and HTTP/1.0. */
export function createHttp1Server(limits: ListenerLimits, handler: HttpHandler): InnerServer {
  const running = new Map<Socket, Set<HttpResponse>>();
  let draining = false;

  const server = createServer({
    headersTimeout: Math.min(limits.headersTimeoutMs, limits.requestTimeoutMs),
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.idleTimeoutMs,
    maxHeaderSize: limits.maxHeaderBytes,
    connectionsCheckingInterval: checkIntervalMs(limits),
  });
  server.on("request", (req, res) => {
    const { socket } = req;
    const responses = running.get(socket);
    responses?.add(res);
    res.once("close", () => {
      responses?.delete(res);
      if (draining && responses?.size === 0) socket.destroySoon();
    });
    if (draining) announceClose(res);
    handler(req, res);
  });
  // Node checks its timeouts from this event on, and the server never listens by itself.
  server.emit("listening");

  return {
    accept(socket) {
      if (draining) return void socket.destroy();
      running.set(socket, new Set());
      socket.once("close", () => running.delete(socket));
      server.emit("connection", socket);
    },
    drain() {
      draining = true;
      for (const [socket, responses] of running) {
        for (const res of responses) announceClose(res);
        if (responses.size === 0) socket.destroySoon();
      }
    },
    close: () => void server.close(),
  };
}

function announceClose(res: HttpResponse): void {
  if (!res.headersSent) res.setHeader("connection", "close");
}

/** Often enough to enforce short timeouts, and at most once in five seconds. */
function checkIntervalMs({ headersTimeoutMs, requestTimeoutMs }: ListenerLimits): number {
  return Math.max(10, Math.ceil(Math.min(headersTimeoutMs, requestTimeoutMs, 20_000) / 4));
}
