export interface BackoffOptions {
  /** Delay after the first failure, in milliseconds. */
  readonly firstMs: number;
  /** Longest delay, in milliseconds. */
  readonly maxMs: number;
  /** A number from 0 up to, not including, 1. */
  readonly random: () => number;
}

/**
 * Time to wait after `failures` attempts in a row have failed, in milliseconds: doubles with each, and a random half
 * of it is left out, so that many clients do not come back at once.
 */
export function backoffMs(failures: number, { firstMs, maxMs, random }: BackoffOptions): number {
  const fullMs = Math.min(maxMs, firstMs * 2 ** Math.min(failures - 1, 30));
  return fullMs * (0.5 + random() / 2);
}
