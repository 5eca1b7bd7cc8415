import { type HttpHandler, isHttp2Response } from "../../src/server/listener/http-handler.ts";
import { type Listener, startListener } from "../../src/server/listener/listener.ts";
import type { ListenerOptions } from "../../src/server/listener/listener-options.ts";
import { createLogger } from "../../src/telemetry/logger.ts";

/** Opens a port on the loopback address with a handler that answers with the version of HTTP, unless told otherwise. */
export function openListener(options: Partial<ListenerOptions> = {}): Promise<Listener> {
  return startListener({
    host: "127.0.0.1",
    port: 0,
    handler: answerVersion,
    shutdown: new AbortController(),
    logger: createLogger({ level: "silent" }),
    ...options,
  });
}

const answerVersion: HttpHandler = (req, res) => {
  if (isHttp2Response(res)) res.end(req.httpVersion);
  else res.end(req.httpVersion);
};
