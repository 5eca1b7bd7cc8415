import { isServiceError, ServiceError } from "../domain/errors.ts";
import type { JobEvent, LastingEvent } from "../domain/job-event.ts";
import { pause } from "../lib/pause.ts";
import type { BusMessage, EventBus } from "../storage/event-bus.ts";
import type { JobStore } from "../storage/job-store.ts";
import type { Logger } from "../telemetry/logger.ts";
import { JobLog } from "./job-log.ts";

export interface FeedDependencies {
  readonly store: Pick<JobStore, "readEvents" | "placesOf">;
  readonly bus: EventBus;
  readonly logger: Logger;
  readonly now: () => Date;
}

/**
 * What happens to jobs, for those who watch. However many watch a job on this replica, its events are read from the
 * store once; from then on they come by the bus, and from the store where the bus is not sure. Disposing of it ends
 * every watch with `SHUTTING_DOWN`.
 */
export class JobFeeds implements AsyncDisposable {
  readonly #deps: FeedDependencies;
  readonly #feeds = new Map<string, { readonly feed: JobFeed; watchers: number }>();
  readonly #closing = new AbortController();
  #telling: Promise<void> | undefined;

  constructor(deps: FeedDependencies) {
    this.#deps = deps;
  }

  /**
   * Yields the events of a job after number `after`: the lasting ones without gap or repetition, passing ones as they
   * come, the last event of the job last. Goes on through outages of the store and the bus.
   *
   * @throws ServiceError `JOB_NOT_FOUND` if there is no such job, or it is removed meanwhile; the reason of `signal`
   */
  async *watch(jobId: string, after: bigint, signal: AbortSignal): AsyncGenerator<JobEvent> {
    this.#closing.signal.throwIfAborted();
    let entry = this.#feeds.get(jobId);
    if (entry === undefined) {
      entry = { feed: new JobFeed(jobId, this.#deps), watchers: 0 };
      this.#feeds.set(jobId, entry);
    }
    entry.watchers += 1;
    this.#tellPlaces();
    try {
      yield* entry.feed.log.read(after, AbortSignal.any([signal, this.#closing.signal]));
    } finally {
      entry.watchers -= 1;
      if (entry.watchers === 0) {
        this.#feeds.delete(jobId);
        await entry.feed[Symbol.asyncDispose]();
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(
      new ServiceError("SHUTTING_DOWN", "the server is shutting down; watch again elsewhere or in a moment", {
        retryAfterMs: 1_000,
      }),
    );
    await Promise.all([...this.#feeds.values()].map(({ feed }) => feed[Symbol.asyncDispose]()));
    await this.#telling;
  }

  /** Tells the watchers of queued jobs their places, as long as there are any. */
  #tellPlaces(): void {
    this.#telling ??= this.#keepTellingPlaces();
  }

  async #keepTellingPlaces(): Promise<void> {
    const { store, logger } = this.#deps;
    const { signal } = this.#closing;
    await pause(placesIntervalMs, signal);
    while (this.#feeds.size > 0 && !signal.aborted) {
      const queued = [...this.#feeds].filter(([, { feed }]) => feed.isQueued).map(([id]) => id);
      try {
        const places = queued.length === 0 ? [] : await store.placesOf(queued, signal);
        for (const [id, jobsAhead] of places) {
          this.#feeds.get(id)?.feed.tellPlace(jobsAhead);
        }
      } catch (error) {
        logger.debug({ err: error }, "cannot tell jobs their places in the queue");
      }
      await pause(placesIntervalMs, signal);
    }
    this.#telling = undefined; // at the very moment at which nobody watches
  }
}

/** How often those who watch a queued job hear of a new place. */
const placesIntervalMs = 250;
/** How often a job is looked at in the store while nothing is heard of it: a replica may have died before it could tell. */
const quietIntervalMs = 5_000;
const longestRetryMs = 2_000;

class JobFeed implements AsyncDisposable {
  readonly log = new JobLog();
  readonly #jobId: string;
  readonly #deps: FeedDependencies;
  readonly #subscription: Disposable;
  readonly #closed = new AbortController();
  #reading: Promise<void> | undefined;
  #readAgain = false;
  #quietTimer: NodeJS.Timeout | undefined;
  #queued: { readonly attempt: number; jobsAhead: number } | undefined;

  constructor(jobId: string, deps: FeedDependencies) {
    this.#jobId = jobId;
    this.#deps = deps;
    // Before the store is read, so that nothing falls in between.
    this.#subscription = deps.bus.subscribe(
      { jobId },
      { onMessage: (message) => this.#onMessage(message), onGap: () => this.#read() },
    );
    this.#read();
  }

  get isQueued(): boolean {
    return this.#queued !== undefined && !this.log.ended;
  }

  tellPlace(jobsAhead: number): void {
    const queued = this.#queued;
    if (queued !== undefined && queued.jobsAhead !== jobsAhead) {
      queued.jobsAhead = jobsAhead;
      const data = { type: "place", jobsAhead, attempt: queued.attempt } as const;
      this.log.pass({ sequence: this.log.lastSequence, time: this.#deps.now(), data });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#subscription[Symbol.dispose]();
    clearTimeout(this.#quietTimer);
    this.#closed.abort();
    await this.#reading;
  }

  #onMessage(message: BusMessage): void {
    if (message.type === "passing") {
      if (message.event.sequence > this.log.lastSequence) {
        this.#read(); // what it follows has not been heard of
      }
      this.log.pass(message.event);
    } else if (message.type === "recorded") {
      const known = message.events !== undefined && this.#append(message.events);
      if (!known && message.lastSequence > this.log.lastSequence) {
        this.#read();
      }
    }
  }

  #append(events: readonly LastingEvent[]): boolean {
    const known = this.log.append(events);
    for (const { data } of known ? events : []) {
      if (data.type === "queued") {
        this.#queued = { attempt: data.attempt, jobsAhead: data.jobsAhead };
      } else if (data.type === "started") {
        this.#queued = undefined;
      }
    }
    return known;
  }

  /** Reads from the store what is new there: now, or once more if it is being read. */
  #read(): void {
    this.#readAgain = true;
    this.#reading ??= this.#keepReading();
  }

  async #keepReading(): Promise<void> {
    const { signal } = this.#closed;
    clearTimeout(this.#quietTimer);
    await undefined; // so that it is known to be reading before it can be done
    for (let retryMs = 50; this.#readAgain && !this.log.ended && !signal.aborted; ) {
      this.#readAgain = false;
      try {
        const events = await this.#deps.store.readEvents(this.#jobId, this.log.lastSequence, signal);
        if (events === undefined) {
          this.log.fail(jobNotFound(this.#jobId));
        } else {
          this.#append(events);
        }
      } catch (error) {
        if (signal.aborted) {
          return;
        }
        if (!isServiceError(error, "STORE_UNAVAILABLE")) {
          this.log.fail(error);
          return;
        }
        this.#readAgain = true;
        await pause(retryMs, signal);
        retryMs = Math.min(2 * retryMs, longestRetryMs);
      }
    }
    this.#reading = undefined; // at the very moment at which it does not look again
    if (!this.log.ended && !signal.aborted) {
      this.#quietTimer = setTimeout(() => this.#read(), quietIntervalMs);
    }
  }
}

/** There is no job of that id, or none any more. */
export function jobNotFound(jobId: string): ServiceError {
  return new ServiceError("JOB_NOT_FOUND", "there is no such job; it may have expired or been deleted", {
    metadata: { job_id: jobId },
  });
}
