import { randomUUID } from "node:crypto";
import { isServiceError, ServiceError } from "../domain/errors.ts";
import type { LastingEventData } from "../domain/job-event.ts";
import type { JobRecord } from "../domain/job-record.ts";
import { pause } from "../lib/pause.ts";
import type { JobStore, JobWrite, Lease, WriteOutcome } from "../storage/job-store.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Announcer } from "./announcer.ts";

export interface RecorderDependencies {
  readonly store: Pick<JobStore, "record">;
  readonly announcer: Announcer;
  readonly logger: Logger;
}

/** What is written to a job beside events, when it goes back into the queue. */
export type RequeueDetails = Pick<JobWrite, "attemptFate" | "queueDeadline">;

/**
 * Writes what happens to running jobs, in the order in which it happens, and announces it when it is there. What comes
 * while a write is under way goes with the next one, of whatever jobs, so that the store is asked once for many.
 *
 * Goes on through outages of the store, for as long as it lives: what happened to a job must not be forgotten. Disposing
 * of it writes what it can in two seconds; what is left fails with `LEASE_LOST`, and whoever drives the backend next
 * finds it out anew.
 */
export class Recorder implements AsyncDisposable {
  readonly #deps: RecorderDependencies;
  readonly #waiting: PendingWrite[] = [];
  readonly #closing = new AbortController();
  /** Aborted when something waits that cannot wait. */
  #hurry = new AbortController();
  #working: Promise<void> | undefined;

  constructor(deps: RecorderDependencies) {
    this.#deps = deps;
  }

  /**
   * Writes `events` to a job. Resolves, with the job as it is then, when they are on disk and announced. Writes to one
   * job are done in the order of the calls. What `canWait` goes with what comes next, or is written a moment later.
   *
   * @throws ServiceError `LEASE_LOST` if the job is not under `lease` any more, or has ended
   */
  write(
    jobId: string,
    lease: Lease,
    events: readonly LastingEventData[],
    { canWait = false, ...requeue }: RequeueDetails & { readonly canWait?: boolean } = {},
  ): Promise<JobRecord> {
    const { promise, resolve, reject } = Promise.withResolvers<JobRecord>();
    this.#waiting.push({
      write: { jobId, lease, writeId: randomUUID(), events, ...requeue },
      resolve,
      reject,
    });
    if (!canWait) {
      this.#hurry.abort();
    }
    this.#working ??= this.#work();
    return promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const giveUp = setTimeout(() => this.#closing.abort(), disposeTimeoutMs);
    this.#hurry.abort();
    await this.#working;
    clearTimeout(giveUp);
    this.#closing.abort();
  }

  async #work(): Promise<void> {
    while (this.#waiting.length > 0) {
      await pause(longestWaitMs, this.#hurry.signal);
      await new Promise(setImmediate); // what happens at the same moment is written together
      this.#hurry = new AbortController();
      const batch = merged(this.#waiting.splice(0));
      try {
        await this.#writeAll(batch);
      } catch (error) {
        await this.#writeEach(batch, error);
      }
    }
    this.#working = undefined; // at the very moment at which nothing waits: what comes a moment later begins anew
  }

  async #writeAll(batch: readonly MergedWrite[]): Promise<void> {
    const { signal } = this.#closing;
    for (let retryMs = 50; ; retryMs = Math.min(2 * retryMs, longestRetryMs)) {
      try {
        const outcomes = await this.#deps.store.record(
          batch.map(({ write }) => write),
          new AbortController().signal, // a write whose outcome is not known is repeated, not broken off
        );
        for (const [i, { write, waiters }] of batch.entries()) {
          this.#settle(write, waiters, outcomes[i]);
        }
        return;
      } catch (error) {
        if (!isServiceError(error, "STORE_UNAVAILABLE")) {
          throw error;
        }
        if (signal.aborted) {
          for (const { write, waiters } of batch) {
            this.#settle(write, waiters, { type: "refused" });
          }
          return;
        }
        this.#deps.logger.warn({ err: error, jobs: batch.length }, "cannot write to the store; trying again");
        await pause(retryMs, signal);
      }
    }
  }

  /** One write that cannot be, which is a fault of ours, must not take the others along. */
  async #writeEach(batch: readonly MergedWrite[], fault: unknown): Promise<void> {
    for (const one of batch) {
      try {
        if (batch.length === 1) {
          throw fault;
        }
        await this.#writeAll([one]);
      } catch (error) {
        for (const { reject } of one.waiters) {
          reject(error);
        }
      }
    }
  }

  #settle(write: JobWrite, waiters: readonly Waiter[], outcome: WriteOutcome | undefined): void {
    if (outcome?.type !== "taken") {
      const error = new ServiceError("LEASE_LOST", "the job is somebody else's now, or has ended");
      for (const { reject } of waiters) {
        reject(error);
      }
      return;
    }
    this.#deps.announcer.recorded(write.jobId, outcome.events, outcome.job);
    for (const { resolve } of waiters) {
      resolve(outcome.job);
    }
  }
}

/** Less than anybody who watches a job notices; more than what nodes that do little take. */
const longestWaitMs = 20;
const longestRetryMs = 2_000;
const disposeTimeoutMs = 2_000;

interface Waiter {
  resolve(job: JobRecord): void;
  reject(error: unknown): void;
}

interface PendingWrite extends Waiter {
  readonly write: JobWrite;
}

interface MergedWrite {
  readonly write: JobWrite;
  readonly waiters: readonly Waiter[];
}

/** One write for each job and lease: the store tells a repeated write by the last one of the job. */
function merged(pending: readonly PendingWrite[]): MergedWrite[] {
  const groups = Map.groupBy(
    pending,
    ({ write: { jobId, lease } }) => `${jobId} ${lease.token} ${lease.backend}`,
  );
  return [...groups.values()].flatMap((group) => {
    const last = group.at(-1);
    if (last === undefined) {
      return [];
    }
    // A job goes back into the queue by its last write: what comes after that is another run's.
    return [{ write: { ...last.write, events: group.flatMap(({ write }) => write.events) }, waiters: group }];
  });
}
