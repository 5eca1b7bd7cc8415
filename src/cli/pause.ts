import { setTimeout as delay } from "node:timers/promises";

/** Waits for `timeMs` milliseconds, or less if `signal` is aborted, which the caller looks at itself. */
export async function pause(timeMs: number, signal: AbortSignal): Promise<void> {
  try {
    await delay(timeMs, undefined, { signal });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
