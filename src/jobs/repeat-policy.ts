import { isServiceError, ServiceError } from "../domain/errors.ts";
import type { Clock } from "../lib/clock.ts";
import type { Job } from "./job.ts";

export interface RepeatPolicyOptions {
  /** Times that a job is given to a backend before it fails. */
  readonly maxAttempts: number;
  /** How long a job is offered to a backend that does not take it, in milliseconds. */
  readonly backendDownGraceMs: number;
}

/** What becomes of a job whose attempt did not succeed. */
export type Verdict =
  | { readonly type: "fail"; readonly error: unknown }
  /** Run it again, after the memory of the backend was freed if that is said. */
  | { readonly type: "again"; readonly freeMemory: boolean }
  /** The backend never got it: offer it once more in a moment. Does not count as an attempt. */
  | { readonly type: "offerAgain" };

/** Decides whether a job is run again. Only what cannot do the same work twice is. */
export class RepeatPolicy {
  readonly #options: RepeatPolicyOptions;
  readonly #clock: Clock;
  readonly #freedMemoryFor = new WeakSet<Job>();
  readonly #refusedSinceMs = new WeakMap<Job, number>();

  constructor(options: RepeatPolicyOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
  }

  judge(job: Job, error: unknown): Verdict {
    if (job.stopSignal.aborted) {
      return { type: "fail", error: job.stopSignal.reason };
    }
    if (isServiceError(error, "NO_BACKEND")) {
      const nowMs = this.#clock.monotonicMs();
      const sinceMs = this.#refusedSinceMs.get(job) ?? nowMs;
      this.#refusedSinceMs.set(job, sinceMs);
      return nowMs - sinceMs < this.#options.backendDownGraceMs
        ? { type: "offerAgain" }
        : { type: "fail", error };
    }
    this.#refusedSinceMs.delete(job);
    const isLoss = isServiceError(error, "PROMPT_LOST", "PROMPT_INTERRUPTED");
    if (job.attempts.length >= this.#options.maxAttempts) {
      return { type: "fail", error: isLoss ? givenUp(job, error) : error };
    }
    if (isServiceError(error, "OUT_OF_MEMORY") && !this.#freedMemoryFor.has(job)) {
      this.#freedMemoryFor.add(job);
      return { type: "again", freeMemory: true };
    }
    return isLoss ? { type: "again", freeMemory: false } : { type: "fail", error };
  }
}

function givenUp(job: Job, cause: unknown): ServiceError {
  return new ServiceError(
    "BACKEND_LOST",
    `the backend lost the job ${job.attempts.length} times; try again later, or look at the log of the backend`,
    { retryAfterMs: 10_000 },
    { cause },
  );
}
