/** Where code that measures gets its time from, so that tests can own it. */
export interface Clock {
  /** Time of day, for people. */
  now(): Date;
  /** Milliseconds since some fixed moment; never goes back. For durations. */
  monotonicMs(): number;
}

/** The clock of the machine. */
export const systemClock: Clock = {
  now: () => new Date(),
  monotonicMs: () => performance.now(),
};
