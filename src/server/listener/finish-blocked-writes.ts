import type { HttpResponse } from "./http-handler.ts";

/**
 * Lets a handler that waits for its client to read go on when the client is gone, so that its `finally` runs.
 *
 * connect-node waits for 'drain' or 'error' of the response, and a response that is closed by its client emits neither:
 * the generator of a streaming method would stay suspended for ever. Its next write fails, which ends it.
 */
export function finishBlockedWrites(res: HttpResponse): void {
  res.once("close", () => {
    if (!res.writableFinished) res.emit("drain");
  });
}
