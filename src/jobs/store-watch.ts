import { ServiceError } from "../domain/errors.ts";
import { pause } from "../lib/pause.ts";
import type { BlobStore } from "../storage/blob-store.ts";
import type { JobCounts, JobStore } from "../storage/job-store.ts";
import type { Logger } from "../telemetry/logger.ts";

export interface StoreWatchDependencies {
  readonly store: Pick<JobStore, "check" | "counts">;
  readonly blobs: Pick<BlobStore, "check">;
  readonly logger: Logger;
}

/** Knows whether the stores work, by trying them all the time. Disposing of it ends that. */
export class StoreWatch implements AsyncDisposable {
  readonly #deps: StoreWatchDependencies;
  readonly #closing = new AbortController();
  readonly #watchers = new Set<() => void>();
  readonly #working: Promise<void>;
  #problem = "";
  #counts: JobCounts = { queued: 0, running: 0 };

  /** The stores have just been opened and count as working until the first look says otherwise. */
  constructor(deps: StoreWatchDependencies) {
    this.#deps = deps;
    this.#working = this.#watch();
  }

  /** What is wrong, in words free of addresses; empty if nothing is. */
  get problem(): string {
    return this.#problem;
  }

  /** Numbers of jobs, as of the last look. */
  get counts(): JobCounts {
    return this.#counts;
  }

  /** @throws ServiceError `STORE_UNAVAILABLE` if a store does not work */
  assertWorking(): void {
    if (this.#problem !== "") {
      throw new ServiceError("STORE_UNAVAILABLE", `no new jobs are taken now: ${this.#problem}`, {
        retryAfterMs: failingIntervalMs,
      });
    }
  }

  /** Tells `listener` when `problem` has changed, until disposed of. */
  onChange(listener: () => void): Disposable {
    this.#watchers.add(listener);
    return { [Symbol.dispose]: () => void this.#watchers.delete(listener) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await this.#working;
  }

  async #watch(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      this.#set(await this.#look());
      await pause(this.#problem === "" ? workingIntervalMs : failingIntervalMs, signal);
    }
  }

  async #look(): Promise<string> {
    const { store, blobs } = this.#deps;
    const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(checkTimeoutMs)]);
    const problems = await Promise.all([
      this.#try("the job store does not work", async () => {
        await store.check(signal);
        this.#counts = await store.counts(signal);
      }),
      this.#try("the image store does not work", () => blobs.check(signal)),
    ]);
    return problems.filter((problem) => problem !== "").join("; ");
  }

  async #try(what: string, check: () => Promise<void>): Promise<string> {
    try {
      await check();
      return "";
    } catch (error) {
      this.#deps.logger.debug({ err: error }, what);
      return error instanceof ServiceError ? `${what}: ${error.message}` : what;
    }
  }

  #set(problem: string): void {
    if (problem === this.#problem || this.#closing.signal.aborted) {
      return;
    }
    this.#problem = problem;
    if (problem === "") {
      this.#deps.logger.info("the stores work again");
    } else {
      this.#deps.logger.error({ problem }, "a store does not work");
    }
    for (const tell of this.#watchers) {
      tell();
    }
  }
}

const workingIntervalMs = 2_000;
const failingIntervalMs = 1_000;
const checkTimeoutMs = 5_000;
