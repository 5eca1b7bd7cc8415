import { ServiceError } from "../domain/errors.ts";
import { toJobFailure } from "../domain/job-failure.ts";
import type { Clock } from "../lib/clock.ts";
import { pause } from "../lib/pause.ts";
import type { AssetStore } from "../storage/asset-store.ts";
import type { BlobStore } from "../storage/blob-store.ts";
import type { JobChange, JobStore } from "../storage/job-store.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Abandon } from "./abandon.ts";
import type { Announcer } from "./announcer.ts";
import { waitedTooLong } from "./run-attempt.ts";

/** All times in milliseconds. */
export interface KeeperOptions {
  /** How long a backend may be without anybody who drives it before its jobs go back into the queue. */
  readonly undrivenMs: number;
  readonly maxAttempts: number;
  readonly maxQueueMs: number;
  /** How often jobs are looked for that wait for too long, or whose backend nobody drives. */
  readonly watchIntervalMs: number;
  /** How often what has expired is removed. */
  readonly cleanIntervalMs: number;
}

export interface KeeperDependencies {
  readonly store: JobStore;
  readonly assets: AssetStore;
  readonly blobs: BlobStore;
  readonly announcer: Announcer;
  readonly abandon: Abandon;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Does what no call and no backend brings about: ends jobs that nobody ran in time, puts those back into the queue whose
 * backend nobody drives any more, and removes what has expired. Each replica has one; they do not get into each other's
 * way. Disposing of it ends that.
 */
export class Keeper implements AsyncDisposable {
  readonly #options: KeeperOptions;
  readonly #deps: KeeperDependencies;
  readonly #closing = new AbortController();
  readonly #working: Promise<unknown>;

  constructor(options: KeeperOptions, deps: KeeperDependencies) {
    this.#options = options;
    this.#deps = deps;
    this.#working = Promise.all([
      this.#every(options.watchIntervalMs, "looking after jobs", () => this.#lookAfterJobs()),
      this.#every(options.cleanIntervalMs, "removing what has expired", () => this.#clean()),
    ]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await this.#working;
  }

  async #lookAfterJobs(): Promise<void> {
    const { store, clock, announcer } = this.#deps;
    const { undrivenMs, maxAttempts, maxQueueMs } = this.#options;
    const { signal } = this.#closing;
    this.#announce(await store.expireQueued(clock.now(), toJobFailure(waitedTooLong()), batchSize, signal));
    const rescued = await store.rescueUndriven(
      {
        undrivenMs,
        maxAttempts,
        failure: toJobFailure(
          new ServiceError("BACKEND_LOST", "nobody drives the backend of the job any more; try again later", {
            retryAfterMs: 10_000,
          }),
        ),
        queueDeadline: new Date(clock.now().getTime() + maxQueueMs),
        limit: batchSize,
      },
      signal,
    );
    this.#announce(rescued);
    if (rescued.length > 0) {
      announcer.queued();
    }
  }

  /** Jobs first, all of them: a sweep does not come back to images that lose their job behind it. */
  async #clean(): Promise<void> {
    const { store, assets, blobs, clock, logger } = this.#deps;
    const { signal } = this.#closing;
    const removed = { jobs: 0, assets: 0, blobs: 0 };
    await this.#inBatches(async () => {
      const jobs = await store.removeExpired(clock.now(), batchSize, signal);
      removed.jobs += jobs;
      return jobs;
    });
    await this.#inBatches(async () => {
      const removeBytes = (sha256: string, removal: AbortSignal) => blobs.remove(sha256, removal);
      const swept = await assets.sweep(clock.now(), batchSize, removeBytes, signal);
      removed.assets += swept.assets;
      removed.blobs += swept.blobs;
      return Math.max(swept.assets, swept.blobs);
    });
    if (removed.jobs + removed.assets + removed.blobs > 0) {
      logger.info(removed, "removed what had expired");
    }
  }

  /** Removes again and again, until a batch is not full. */
  async #inBatches(removeBatch: () => Promise<number>): Promise<void> {
    const { signal } = this.#closing;
    for (let removed = batchSize; removed === batchSize && !signal.aborted; ) {
      removed = await removeBatch();
      await pause(betweenBatchesMs, signal); // others want the store too
    }
  }

  #announce(changes: readonly JobChange[]): void {
    for (const { jobId, events, leftBehind } of changes) {
      this.#deps.announcer.recorded(jobId, events);
      this.#deps.abandon(leftBehind);
    }
  }

  async #every(intervalMs: number, what: string, work: () => Promise<void>): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        await work();
      } catch (error) {
        if (!signal.aborted) {
          this.#deps.logger.warn({ err: error }, `${what} failed; trying again later`);
        }
      }
      await pause(intervalMs, signal);
    }
  }
}

const batchSize = 100;
const betweenBatchesMs = 20;
