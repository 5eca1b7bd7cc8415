import { constants, createServer, type Http2Stream, type ServerHttp2Session } from "node:http2";
import type { Logger } from "../../telemetry/logger.ts";
import type { HttpHandler } from "./http-handler.ts";
import type { InnerServer } from "./http1-server.ts";
import type { ListenerLimits } from "./listener-options.ts";
import { superviseSession } from "./supervise-session.ts";

/** Serves HTTP/2. */
export function createHttp2Server(limits: ListenerLimits, handler: HttpHandler, logger: Logger): InnerServer {
  const sessions = new Set<ServerHttp2Session>();
  let draining = false;

  const server = createServer({
    maxSessionMemory: limits.maxSessionMemoryMb,
    streamResetBurst,
    streamResetRate,
    settings: {
      initialWindowSize: limits.streamWindowBytes,
      maxConcurrentStreams: limits.maxConcurrentStreams,
      maxHeaderListSize: limits.maxHeaderBytes,
      enablePush: false,
    },
  });
  server.on("session", (session) => {
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
    session.setLocalWindowSize(limits.streamWindowBytes * windowsPerSession);
    superviseSession(session, limits, logger);
  });
  server.on("sessionError", (error) => logger.debug({ err: error }, "HTTP/2 connection failed"));
  server.on("stream", (stream) => resetIncompleteRequest(stream, limits.requestTimeoutMs, logger));
  server.on("request", handler);

  return {
    accept(socket) {
      if (draining) return void socket.destroy();
      server.emit("connection", socket);
    },
    drain() {
      draining = true;
      for (const session of sessions) session.close();
    },
    close: () => void server.close(),
  };
}

const windowsPerSession = 16;

/**
 * Calls that a connection may cancel at once, and each second, before it counts as an attack and is ended with all of its
 * calls. Node's own 1,000 and 33 are for browsers: a proxy sends the calls, and the cancels, of all its callers over one
 * connection, and callers who watch jobs come and go.
 */
const streamResetBurst = 20_000;
const streamResetRate = 2_000;

/** Resets a call whose request does not go on. Node restarts the timer with every byte that comes or goes. */
function resetIncompleteRequest(stream: Http2Stream, timeoutMs: number, logger: Logger): void {
  stream.setTimeout(timeoutMs, () => {
    if (stream.destroyed || stream.state.remoteClose === 1) return;
    logger.warn({ timeoutMs }, "call cut off: its request did not come to an end");
    stream.close(constants.NGHTTP2_CANCEL);
  });
}
