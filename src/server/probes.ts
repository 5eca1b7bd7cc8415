import { answerJson, answerText } from "./answer.ts";
import type { HttpRequest, HttpResponse } from "./listener/http-handler.ts";

/** Whether the service can draw now. */
export interface Readiness {
  readonly ready: boolean;
  /** Why not, in a few words and free of addresses; empty if it is ready. */
  readonly reason: string;
}

/**
 * Answers the probes of an orchestrator, and returns whether the request was one:
 * - `GET /healthz`: 200 as long as the process answers at all; restart it if not.
 * - `GET /readyz`: 200, or 503 with the reason; send callers elsewhere meanwhile.
 */
export function answerProbe(req: HttpRequest, res: HttpResponse, readiness: () => Readiness): boolean {
  if (req.method !== "GET" && req.method !== "HEAD") return false;
  switch (req.url) {
    case "/healthz":
      res.setHeader("cache-control", "no-store");
      answerText(res, 200, "text/plain", "ok\n");
      return true;
    case "/readyz": {
      const { ready, reason } = readiness();
      res.setHeader("cache-control", "no-store");
      answerJson(res, ready ? 200 : 503, ready ? { ready } : { ready, reason });
      return true;
    }
    default:
      return false;
  }
}
