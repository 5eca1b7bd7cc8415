import { setTimeout as sleep } from "node:timers/promises";

/** Waits for `timeMs` milliseconds, or until `signal` is aborted, whichever comes first. Never throws. */
export async function pause(timeMs: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(timeMs, undefined, { signal });
  } catch (error) {
    if (!signal.aborted) {
      throw error;
    }
  }
}
