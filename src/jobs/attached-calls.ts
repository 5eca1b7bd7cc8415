import { type JobFailure, toJobFailure } from "../domain/job-failure.ts";
import type { JobStore } from "../storage/job-store.ts";
import type { Logger } from "../telemetry/logger.ts";

export interface AttachedCallsDependencies {
  readonly store: Pick<JobStore, "detach">;
  /** Stops a job that no call waits for. */
  readonly stop: (jobId: string, why: JobFailure) => Promise<void>;
  /** Told when it is noted that a call has gone from a job that has not ended: a claim may have passed it over meanwhile. */
  readonly onDetached: () => void;
  readonly logger: Logger;
}

/**
 * Calls that wait for jobs. When the last one that waits for a job has gone before the job ended, the job is stopped: at
 * once, or after a while in which a repeat of the call may come. Disposing of it waits for what is under way, and lets go
 * of jobs whose while has not passed: they go on, for the repeat to come to another process.
 */
export class AttachedCalls implements AsyncDisposable {
  readonly #reconnectGraceMs: number;
  readonly #deps: AttachedCallsDependencies;
  readonly #releasing = new Set<Promise<void>>();
  /** How many calls of this process wait for each job. */
  readonly #counts = new Map<string, number>();
  /** For each job that waits for a repeat of a call; the last call that went counts. */
  readonly #timers = new Map<string, NodeJS.Timeout>();
  #disposed = false;

  constructor(reconnectGraceMs: number, deps: AttachedCallsDependencies) {
    this.#reconnectGraceMs = reconnectGraceMs;
    this.#deps = deps;
  }

  /** Ids of the jobs that calls of this process wait for. */
  get jobIds(): readonly string[] {
    return [...this.#counts.keys()];
  }

  /** The call waits for the job, as the store knows already, until `call` is aborted. */
  add(jobId: string, repeatable: boolean, call: AbortSignal): void {
    this.#count(jobId, 1);
    const release = () => {
      this.#count(jobId, -1);
      this.#track(this.#release(jobId, repeatable, call.reason));
    };
    if (call.aborted) {
      release();
    } else {
      call.addEventListener("abort", release, { once: true });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    for (const timer of this.#timers.values()) {
      clearTimeout(timer);
    }
    await Promise.all(this.#releasing);
  }

  async #release(jobId: string, repeatable: boolean, why: unknown): Promise<void> {
    const waiting = await this.#deps.store.detach(jobId, AbortSignal.timeout(releaseTimeoutMs));
    if (waiting !== undefined) {
      this.#deps.onDetached();
    }
    if (waiting !== 0) {
      return; // others wait, or the job has ended
    }
    if (!repeatable) {
      await this.#deps.stop(jobId, toJobFailure(why));
    } else if (!this.#disposed) {
      clearTimeout(this.#timers.get(jobId));
      const timer = setTimeout(() => {
        this.#timers.delete(jobId);
        this.#track(this.#deps.stop(jobId, toJobFailure(why)));
      }, this.#reconnectGraceMs);
      this.#timers.set(jobId, timer);
    }
  }

  #count(jobId: string, change: 1 | -1): void {
    const count = (this.#counts.get(jobId) ?? 0) + change;
    if (count > 0) {
      this.#counts.set(jobId, count);
    } else {
      this.#counts.delete(jobId);
    }
  }

  #track(work: Promise<void>): void {
    const tracked = work
      .catch((error: unknown) => {
        this.#deps.logger.warn(
          { err: error },
          "cannot stop a job whose caller has gone; it goes on to its end",
        );
      })
      .finally(() => this.#releasing.delete(tracked));
    this.#releasing.add(tracked);
  }
}

const releaseTimeoutMs = 10_000;
