import { constants, type ServerHttp2Session } from "node:http2";
import type { Logger } from "../../telemetry/logger.ts";
import type { ListenerLimits } from "./listener-options.ts";

/**
 * Looks after one HTTP/2 connection until it is closed: ends it if its client makes no call or does not answer pings,
 * and lets it take no new calls from a certain age on.
 *
 * Node does none of this: it sends no pings, and a session without calls may stay open for ever.
 */
export function superviseSession(session: ServerHttp2Session, limits: ListenerLimits, logger: Logger): void {
  const firstCall = setTimeout(() => {
    logger.debug({ timeoutMs: limits.headersTimeoutMs }, "HTTP/2 connection closed: no call came");
    session.destroy();
  }, limits.headersTimeoutMs);
  session.once("stream", () => clearTimeout(firstCall));

  const age = setTimeout(() => session.close(), limits.maxSessionAgeMs * (0.9 + Math.random() / 5));

  let answer: NodeJS.Timeout | undefined;
  const pings = setInterval(() => {
    if (answer || session.destroyed) return;
    answer = setTimeout(() => {
      logger.debug({ timeoutMs: limits.pingTimeoutMs }, "HTTP/2 connection closed: a ping was not answered");
      session.destroy(undefined, constants.NGHTTP2_CANCEL);
    }, limits.pingTimeoutMs);
    session.ping(() => {
      clearTimeout(answer);
      answer = undefined;
    });
  }, limits.pingIntervalMs);

  session.once("close", () => {
    clearTimeout(firstCall);
    clearTimeout(age);
    clearInterval(pings);
    clearTimeout(answer);
  });
}
