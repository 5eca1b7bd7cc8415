import { isServiceError, ServiceError } from "../domain/errors.ts";
import type { Clock } from "../lib/clock.ts";
import type { JobRun } from "./job-run.ts";

export interface RepeatPolicyOptions {
  /** Times that a job is given to a backend before it fails. */
  readonly maxAttempts: number;
  /** How long a job is offered to a backend that does not take it, in milliseconds. */
  readonly backendDownGraceMs: number;
}

/** What becomes of a job whose attempt did not succeed. */
export type Verdict =
  | { readonly type: "fail"; readonly error: unknown }
  /**
   * It goes back into the queue. Its prompt is `gone`, or perhaps still on a backend that is out of reach (`unknown`), or
   * `never` was there, so that no attempt is counted.
   */
  | {
      readonly type: "again";
      readonly fate: "gone" | "unknown" | "never";
      /** The memory of the backend is to be freed first. */
      readonly freeMemory: boolean;
    };

/** Decides whether a job is run again. Only what cannot do the same work twice is. */
export class RepeatPolicy {
  readonly #options: RepeatPolicyOptions;
  readonly #clock: Clock;
  readonly #freedMemoryFor = new Set<string>();
  readonly #refusedSinceMs = new Map<string, number>();

  constructor(options: RepeatPolicyOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
  }

  judge(run: JobRun, error: unknown): Verdict {
    if (isServiceError(error, "NO_BACKEND")) {
      const nowMs = this.#clock.monotonicMs();
      const sinceMs = this.#refusedSinceMs.get(run.id) ?? nowMs;
      this.#refusedSinceMs.set(run.id, sinceMs);
      return nowMs - sinceMs < this.#options.backendDownGraceMs
        ? { type: "again", fate: "never", freeMemory: false }
        : { type: "fail", error };
    }
    this.#refusedSinceMs.delete(run.id);
    const isLast = run.attempt.number >= this.#options.maxAttempts;
    if (isServiceError(error, "PROMPT_LOST", "PROMPT_INTERRUPTED", "BACKEND_LOST")) {
      const fate = error.reason === "BACKEND_LOST" ? "unknown" : "gone";
      return isLast
        ? { type: "fail", error: givenUp(run, error) }
        : { type: "again", fate, freeMemory: false };
    }
    if (isServiceError(error, "OUT_OF_MEMORY") && !isLast && !this.#freedMemoryFor.has(run.id)) {
      this.#freedMemoryFor.add(run.id);
      return { type: "again", fate: "gone", freeMemory: true };
    }
    // Files go with a restart of the backend, between the end of a prompt and the fetching of its images.
    return isServiceError(error, "NO_OUTPUT") && run.attempt.number === 1 && !isLast
      ? { type: "again", fate: "gone", freeMemory: false }
      : { type: "fail", error };
  }

  /** Forgets a job that has ended. */
  forget(jobId: string): void {
    this.#freedMemoryFor.delete(jobId);
    this.#refusedSinceMs.delete(jobId);
  }
}

function givenUp(run: JobRun, cause: ServiceError): ServiceError {
  return new ServiceError(
    "BACKEND_LOST",
    `the backend lost the job ${run.attempt.number} times; try again later, or look at the log of the backend`,
    { retryAfterMs: 10_000 },
    { cause },
  );
}
