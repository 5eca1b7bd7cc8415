import { setTimeout as pause } from "node:timers/promises";

/** Asks again and again whether something holds, and returns once it does. Throws if it does not within `boundMs`. */
export async function waitUntil(
  holds: () => boolean | Promise<boolean>,
  what: string,
  boundMs = 20_000,
): Promise<void> {
  const bound = AbortSignal.timeout(boundMs);
  while (!(await holds())) {
    if (bound.aborted) {
      throw new Error(`waited in vain until ${what}`);
    }
    await pause(20);
  }
}
