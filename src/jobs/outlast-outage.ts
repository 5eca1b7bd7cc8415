import { isServiceError } from "../domain/errors.ts";
import { pause } from "../lib/pause.ts";

const firstPauseMs = 250;
const longestPauseMs = 5_000;

/**
 * Does something with a store, again and again for as long as it is out of order: for work on a backend that an outage of
 * the stores must not cost.
 *
 * @param onOutage told of each failure by `STORE_UNAVAILABLE`
 * @throws what `work` throws otherwise; the reason of `signal`
 */
export async function outlastOutage<T>(
  work: () => Promise<T>,
  onOutage: (error: unknown) => void,
  signal: AbortSignal,
): Promise<T> {
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
    try {
      return await work();
    } catch (error) {
      signal.throwIfAborted();
      if (!isServiceError(error, "STORE_UNAVAILABLE")) {
        throw error;
      }
      onOutage(error);
      await pause(pauseMs, signal);
      signal.throwIfAborted();
    }
  }
}
