import { ServiceError } from "../domain/errors.ts";
import { toJobFailure } from "../domain/job-failure.ts";
import { type Engine, isUsable } from "../engine/engine.ts";
import type { JobStore } from "../storage/job-store.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Abandon } from "./abandon.ts";
import type { Announcer } from "./announcer.ts";

export interface PatienceDependencies {
  readonly engines: readonly Engine[];
  readonly store: Pick<JobStore, "failAttached">;
  /** Ids of the jobs that calls of this process wait for. */
  readonly attachedJobIds: () => readonly string[];
  readonly announcer: Announcer;
  readonly abandon: Abandon;
  readonly logger: Logger;
}

/**
 * Lets callers who wait for a job know that no backend is up, instead of having them wait for as long as jobs may be
 * queued: once every backend has been down for `graceMs`, queued jobs that calls of this process wait for fail with
 * `NO_BACKEND`, also those that come back into the queue later. Other jobs wait on, and so do the callers of other
 * processes, which may see more. Disposing of it ends that.
 */
export class Patience implements AsyncDisposable {
  readonly #graceMs: number;
  readonly #deps: PatienceDependencies;
  readonly #closing = new AbortController();
  readonly #watching: Promise<unknown>;
  #timer: NodeJS.Timeout | undefined;

  constructor(graceMs: number, deps: PatienceDependencies) {
    this.#graceMs = graceMs;
    this.#deps = deps;
    this.#watching = Promise.all(deps.engines.map((engine) => this.#watch(engine)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await this.#watching;
    clearTimeout(this.#timer);
  }

  async #watch(engine: Engine): Promise<void> {
    for await (const _ of engine.watchHealth(this.#closing.signal)) {
      if (this.#deps.engines.some((one) => isUsable(one.health()))) {
        clearTimeout(this.#timer);
        this.#timer = undefined;
      } else {
        this.#timer ??= setTimeout(() => this.#giveUp(), this.#graceMs);
      }
    }
  }

  #giveUp(): void {
    const { store, attachedJobIds, announcer, abandon, logger, engines } = this.#deps;
    store
      .failAttached(
        attachedJobIds().slice(0, batchSize),
        toJobFailure(noBackend(engines)),
        this.#closing.signal,
      )
      .then((changes) => {
        for (const { jobId, events, leftBehind } of changes) {
          announcer.recorded(jobId, events);
          abandon(leftBehind);
        }
      })
      .catch((error: unknown) => {
        if (!this.#closing.signal.aborted) {
          logger.warn({ err: error }, "cannot tell callers that no backend is up; trying again soon");
        }
      })
      .finally(() => {
        if (this.#timer !== undefined && !this.#closing.signal.aborted) {
          this.#timer = setTimeout(() => this.#giveUp(), againMs);
        }
      });
  }
}

const batchSize = 1_000;
const againMs = 500;

/** Why no job can be run now. */
export function noBackend(engines: readonly Engine[]): ServiceError {
  const reasons = new Set(
    engines.map((engine) => engine.health()).map(({ reason, state }) => (reason === "" ? state : reason)),
  );
  return new ServiceError(
    "NO_BACKEND",
    `no ComfyUI backend is up (${[...reasons].join("; ")}); try again later`,
    { retryAfterMs: 2_000 },
  );
}
