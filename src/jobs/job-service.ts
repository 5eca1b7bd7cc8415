import { randomUUID } from "node:crypto";
import { isServiceError, ServiceError } from "../domain/errors.ts";
import type { GenerationSpec } from "../domain/generation.ts";
import type { GenerationResult, JobEvent } from "../domain/job-event.ts";
import { type JobFailure, toJobFailure } from "../domain/job-failure.ts";
import { type JobRecord, leftBehindBy } from "../domain/job-record.ts";
import type { JobState } from "../domain/job-state.ts";
import { type Engine, isUsable } from "../engine/engine.ts";
import type { Clock } from "../lib/clock.ts";
import { merge } from "../lib/merge.ts";
import type { BatchRecord, JobFilter, JobStore, NewJob, SubmitOutcome } from "../storage/job-store.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Abandon } from "./abandon.ts";
import type { Announcer } from "./announcer.ts";
import { AttachedCalls } from "./attached-calls.ts";
import type { Caller } from "./caller.ts";
import { type JobFeeds, jobNotFound } from "./job-feeds.ts";
import { noBackend } from "./patience.ts";
import type { SpecResolver } from "./spec-resolver.ts";
import type { StoreWatch } from "./store-watch.ts";
import type { SubmitOptions } from "./submit-options.ts";

/** All times in milliseconds. */
export interface JobServiceOptions {
  /** Jobs that may wait; above that, new ones are refused. */
  readonly maxQueued: number;
  /** Longest time until a backend begins to run a job, from being accepted. */
  readonly maxQueueMs: number;
  /** How long a job is kept after its end, if its caller does not say. */
  readonly retentionMs: number;
  /** The longest that a caller may ask for. */
  readonly maxRetentionMs: number;
  /** How long a job whose caller has gone waits for a repeat of the call, if that has a request id. */
  readonly reconnectGraceMs: number;
  /** Most jobs of one batch. */
  readonly batchLimit: number;
}

export interface JobServiceDependencies {
  readonly engines: readonly Engine[];
  readonly store: JobStore;
  readonly storeWatch: StoreWatch;
  readonly resolver: SpecResolver;
  readonly feeds: JobFeeds;
  readonly announcer: Announcer;
  readonly abandon: Abandon;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What can be done with jobs, on whatever replica and backend they are. */
export class JobService implements AsyncDisposable {
  readonly #options: JobServiceOptions;
  readonly #deps: JobServiceDependencies;
  readonly #calls: AttachedCalls;
  #accepting = true;
  #lastCreateMs = 0;

  constructor(options: JobServiceOptions, deps: JobServiceDependencies) {
    this.#options = options;
    this.#deps = deps;
    this.#calls = new AttachedCalls(options.reconnectGraceMs, {
      store: deps.store,
      stop: async (jobId, failure) => {
        await this.#stop({ jobId, failure, onlyIfUnattached: true }, AbortSignal.timeout(stopTimeoutMs));
      },
      onDetached: () => deps.announcer.queued(),
      logger: deps.logger,
    });
  }

  /** Most jobs of one batch. */
  get batchLimit(): number {
    return this.#options.batchLimit;
  }

  /** Ids of the jobs that calls of this process wait for. */
  get attachedJobIds(): readonly string[] {
    return this.#calls.jobIds;
  }

  /** Refuses new jobs from now on; those accepted go on. */
  close(): void {
    this.#accepting = false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.#calls[Symbol.asyncDispose]();
  }

  /**
   * Makes a job of `spec`, which is on disk when this resolves, and goes on until it ends.
   *
   * @throws ServiceError what is wrong with the spec, or why no job is accepted now
   */
  async submit(
    spec: GenerationSpec,
    options: SubmitOptions,
    caller: Caller,
    signal: AbortSignal,
  ): Promise<JobRecord> {
    return await this.#submitOne(spec, options, caller, false, signal);
  }

  /**
   * As {@link submit}, for a call that waits for the job: when `call` is aborted before the job has ended, and no other
   * call waits for it, the job is stopped for the reason of `call`, unless the spec says to detach.
   */
  async generate(
    spec: GenerationSpec,
    options: SubmitOptions,
    caller: Caller,
    call: AbortSignal,
  ): Promise<JobRecord> {
    const job = await this.#submitOne(spec, options, caller, !spec.detach, call);
    if (!spec.detach) {
      this.#calls.add(job.id, options.request !== undefined, call);
    }
    return job;
  }

  /**
   * Makes a job of each spec, all or none.
   *
   * @throws ServiceError as {@link submit} does; fields are below `specs[i]`
   */
  async submitBatch(
    specs: readonly GenerationSpec[],
    options: SubmitOptions,
    caller: Caller,
    signal: AbortSignal,
  ): Promise<BatchRecord> {
    const outcome = await this.#submit(specs, options, caller, { attached: false, isBatch: true }, signal);
    const [first] = outcome.jobs;
    if (first?.batch === undefined) {
      throw batchNotFound();
    }
    const { createTime, requestId, batch } = first;
    return { id: batch.id, requestId, createTime, jobs: outcome.jobs };
  }

  /** @throws ServiceError `JOB_NOT_FOUND` */
  async get(jobId: string, { tenant }: Caller, signal: AbortSignal): Promise<JobRecord> {
    const job = await this.#deps.store.get(tenant, jobId, signal);
    if (job === undefined) {
      throw jobNotFound(jobId);
    }
    return job;
  }

  /** Jobs that fit `filter`, the newest first, at most `limit`. */
  async list(
    filter: JobFilter,
    limit: number,
    { tenant }: Caller,
    signal: AbortSignal,
  ): Promise<readonly JobRecord[]> {
    return await this.#deps.store.list(tenant, filter, limit, signal);
  }

  /**
   * Yields the lasting events of a job after number `after`, then what happens, passing events too, and ends after its
   * last event, `completed` or `failed`.
   *
   * @throws ServiceError `JOB_NOT_FOUND`, also if the job is removed meanwhile; `OFFSET_OUT_OF_RANGE` if it has not had
   * `after` events
   */
  async *watch(jobId: string, after: bigint, caller: Caller, signal: AbortSignal): AsyncGenerator<JobEvent> {
    const job = await this.get(jobId, caller, signal);
    assertHasHad(job, after);
    yield* this.follow(job, after, signal);
  }

  /** As {@link watch}, for a job that has just been made or read for its caller. */
  follow({ id }: JobRecord, after: bigint, signal: AbortSignal): AsyncIterable<JobEvent> {
    return this.#deps.feeds.watch(id, after, signal);
  }

  /**
   * Asks for a job to stop. Returns it as it is then, and the state it was found in; one that runs goes on until its
   * backend has proved that it stopped.
   *
   * @throws ServiceError `JOB_NOT_FOUND`
   */
  async cancel(
    jobId: string,
    { tenant }: Caller,
    signal: AbortSignal,
  ): Promise<{ readonly job: JobRecord; readonly foundIn: JobState }> {
    const outcome = await this.#stop({ tenant, jobId, failure: cancelledByRequest }, signal);
    if (outcome === undefined) {
      throw jobNotFound(jobId);
    }
    return outcome;
  }

  /** @throws ServiceError `JOB_NOT_FOUND`; `JOB_ACTIVE` if it has not ended */
  async delete(jobId: string, { tenant }: Caller, signal: AbortSignal): Promise<void> {
    const outcome = await this.#deps.store.remove(tenant, jobId, signal);
    if (outcome === "absent") {
      throw jobNotFound(jobId);
    }
    if (outcome === "active") {
      throw new ServiceError("JOB_ACTIVE", "the job has not ended; cancel it first", {
        metadata: { job_id: jobId },
      });
    }
  }

  /** @throws ServiceError `BATCH_NOT_FOUND` */
  async getBatch(batchId: string, { tenant }: Caller, signal: AbortSignal): Promise<BatchRecord> {
    const batch = await this.#deps.store.getBatch(tenant, batchId, signal);
    if (batch === undefined) {
      throw batchNotFound();
    }
    return batch;
  }

  /**
   * Yields what happens to the jobs of a batch, each as {@link watch} does, until all of them have ended. `after` has the
   * number to begin after for each job, by its id; those that are not in it begin at their first event.
   *
   * @throws ServiceError `BATCH_NOT_FOUND`; as {@link watch} does
   */
  async *watchBatch(
    batchId: string,
    after: ReadonlyMap<string, bigint>,
    caller: Caller,
    signal: AbortSignal,
  ): AsyncGenerator<{ readonly job: JobRecord; readonly event: JobEvent }> {
    const { jobs } = await this.getBatch(batchId, caller, signal);
    const starts = jobs.map((job) => ({ job, from: after.get(job.id) ?? 0n }));
    for (const { job, from } of starts) {
      assertHasHad(job, from);
    }
    const { feeds } = this.#deps;
    yield* merge((stop) =>
      starts.map(async function* ({ job, from }) {
        for await (const event of feeds.watch(job.id, from, AbortSignal.any([signal, stop]))) {
          yield { job, event };
        }
      }),
    );
  }

  /**
   * Asks for every job of a batch to stop. Returns the batch as it is then, and the state in which each job was found.
   *
   * @throws ServiceError `BATCH_NOT_FOUND`
   */
  async cancelBatch(
    batchId: string,
    caller: Caller,
    signal: AbortSignal,
  ): Promise<{ readonly batch: BatchRecord; readonly foundIn: readonly JobState[] }> {
    const batch = await this.getBatch(batchId, caller, signal);
    const jobs: JobRecord[] = [];
    const foundIn: JobState[] = [];
    // The last first, so that no job of the batch begins because another makes room.
    for (const { id } of batch.jobs.toReversed()) {
      const outcome = await this.#stop(
        { tenant: caller.tenant, jobId: id, failure: cancelledByRequest },
        signal,
      );
      if (outcome !== undefined) {
        jobs.unshift(outcome.job);
        foundIn.unshift(outcome.foundIn);
      }
    }
    return { batch: { ...batch, jobs }, foundIn };
  }

  async #submitOne(
    spec: GenerationSpec,
    options: SubmitOptions,
    caller: Caller,
    attached: boolean,
    signal: AbortSignal,
  ): Promise<JobRecord> {
    const { jobs } = await this.#submit([spec], options, caller, { attached, isBatch: false }, signal);
    const [job] = jobs;
    if (job === undefined) {
      throw new ServiceError(
        "JOB_NOT_FOUND",
        "the job that this request made has been deleted; use another request_id for another job",
      );
    }
    return job;
  }

  async #submit(
    specs: readonly GenerationSpec[],
    options: SubmitOptions,
    caller: Caller,
    { attached, isBatch }: { readonly attached: boolean; readonly isBatch: boolean },
    signal: AbortSignal,
  ): Promise<{ readonly jobs: readonly JobRecord[] }> {
    const { store, announcer } = this.#deps;
    const { request } = options;
    if (request !== undefined) {
      signal.throwIfAborted();
      const known = await store.findRepeat(
        caller.tenant,
        request,
        attached,
        attached ? uninterrupted : signal,
      );
      if (known !== undefined) {
        this.#noted(known, attached);
        return jobsOf(known);
      }
    }
    this.#assertAccepting();
    const made = await this.#makeJobs(specs, options, caller, { attached, isBatch }, signal);
    const outcome = await this.#submitMade(made, { options, caller, isBatch }, signal).catch(
      (error: unknown) => {
        if (!isServiceError(error, "ASSET_NOT_FOUND")) {
          throw error;
        }
        // An earlier job was deleted just now, and its images with it: they are drawn anew.
        const drawn = made.map(({ result: _, ...job }) => job);
        return this.#submitMade(drawn, { options, caller, isBatch }, signal);
      },
    );
    if (outcome.type === "accepted") {
      announcer.accepted(outcome.jobs, caller.requestId);
    }
    this.#noted(outcome, attached);
    return jobsOf(outcome);
  }

  /** While it is noted that another call waits for a job, claims pass that job over: they are asked to look again. */
  #noted(outcome: SubmitOutcome, attached: boolean): void {
    if (attached && outcome.type === "repeated" && outcome.jobs.some(({ state }) => state === "queued")) {
      this.#deps.announcer.queued();
    }
  }

  async #submitMade(
    made: readonly MadeJob[],
    {
      options: { request },
      caller,
      isBatch,
    }: {
      readonly options: SubmitOptions;
      readonly caller: Caller;
      readonly isBatch: boolean;
    },
    signal: AbortSignal,
  ): Promise<SubmitOutcome> {
    if (made.some(({ result }) => result === undefined)) {
      this.#assertBackend();
    }
    signal.throwIfAborted();
    const jobs = made.map((job): NewJob => {
      const createTime = this.#nextCreateTime();
      const queueDeadline = new Date(createTime.getTime() + this.#options.maxQueueMs);
      return { ...job, createTime, queueDeadline };
    });
    const attached = jobs.filter((job) => job.attached);
    try {
      return await this.#deps.store.submit(
        {
          tenant: caller.tenant,
          jobs,
          maxQueued: this.#options.maxQueued,
          ...(isBatch && { batchId: randomUUID() }),
          ...(request && { request: { ...request, keptUntil: this.#inFuture(requestIdKeptMs) } }),
        },
        attached.length > 0 ? uninterrupted : signal,
      );
    } catch (error) {
      if (isServiceError(error, "STORE_UNAVAILABLE")) {
        for (const { id } of attached) {
          this.#calls.add(id, request !== undefined, AbortSignal.abort(error)); // it may be there, for nobody
        }
      }
      throw error;
    }
  }

  async #makeJobs(
    specs: readonly GenerationSpec[],
    options: SubmitOptions,
    caller: Caller,
    { attached, isBatch }: { readonly attached: boolean; readonly isBatch: boolean },
    signal: AbortSignal,
  ): Promise<MadeJob[]> {
    const retentionMs = this.#retentionOf(options);
    const jobs: MadeJob[] = [];
    for (const [i, spec] of specs.entries()) {
      const id = randomUUID();
      const resolved = await this.#deps.resolver.resolve(spec, id, signal).catch((error: unknown) => {
        throw isBatch && error instanceof ServiceError ? inBatch(error, i) : error;
      });
      const result = spec.allowReuse ? await this.#reuse(resolved.reuseKey, caller, signal) : undefined;
      jobs.push({
        id,
        labels: options.labels,
        note: options.note,
        ...resolved,
        retentionMs,
        attached,
        ...(result && { result: { ...result, generation: resolved.generation } }),
      });
    }
    return jobs;
  }

  /** The result of an earlier job that did the same. It must not expire before its images have a second job. */
  async #reuse(
    reuseKey: string,
    { tenant }: Caller,
    signal: AbortSignal,
  ): Promise<GenerationResult | undefined> {
    const keptUntil = this.#inFuture(60_000);
    const earlier = await this.#deps.store.findReusable(tenant, reuseKey, keptUntil, signal);
    if (earlier?.result === undefined) {
      return undefined;
    }
    return { ...earlier.result, reusedJobId: earlier.result.reusedJobId ?? earlier.id };
  }

  #retentionOf({ retentionMs = this.#options.retentionMs, request }: SubmitOptions): number {
    const { maxRetentionMs } = this.#options;
    if (retentionMs > maxRetentionMs) {
      const description = `this server keeps jobs for at most ${maxRetentionMs / 1_000} s`;
      throw new ServiceError("INVALID_FIELD", `options.retention: ${description}`, {
        violations: [{ field: "options.retention", description }],
      });
    }
    return request === undefined ? retentionMs : Math.max(retentionMs, requestIdKeptMs);
  }

  /** @throws ServiceError `SHUTTING_DOWN`, `STORE_UNAVAILABLE` */
  #assertAccepting(): void {
    if (!this.#accepting) {
      throw new ServiceError("SHUTTING_DOWN", "the server is shutting down; try again in a moment", {
        retryAfterMs: 1_000,
      });
    }
    this.#deps.storeWatch.assertWorking();
  }

  /** @throws ServiceError `NO_BACKEND` */
  #assertBackend(): void {
    const { engines } = this.#deps;
    if (!engines.some((engine) => isUsable(engine.health()))) {
      throw noBackend(engines);
    }
  }

  async #stop(
    request: Parameters<JobStore["stop"]>[0],
    signal: AbortSignal,
  ): Promise<{ readonly job: JobRecord; readonly foundIn: JobState } | undefined> {
    const { store, announcer, abandon } = this.#deps;
    const outcome = await store.stop(request, signal);
    if (outcome === undefined) {
      return undefined;
    }
    announcer.recorded(request.jobId, outcome.events, outcome.job);
    if (outcome.events.length > 0) {
      abandon(leftBehindBy(outcome.job));
    }
    if (outcome.job.state === "cancelling") {
      announcer.stopRequested(outcome.job);
    }
    return outcome;
  }

  /** Now, but never the same twice: jobs queue by the time of their making, in the order in which they came. */
  #nextCreateTime(): Date {
    this.#lastCreateMs = Math.max(this.#lastCreateMs + 1, this.#deps.clock.now().getTime());
    return new Date(this.#lastCreateMs);
  }

  #inFuture(ms: number): Date {
    return new Date(this.#deps.clock.now().getTime() + ms);
  }
}

/** For what counts a call as one that waits: if that was done is to be known, or nobody could take it back. */
const uninterrupted = new AbortController().signal;

/** A job that has not been submitted. */
type MadeJob = Omit<NewJob, "createTime" | "queueDeadline">;

/** How long a request id is taken at least. */
const requestIdKeptMs = 24 * 3_600_000;
const stopTimeoutMs = 10_000;

const cancelledByRequest: JobFailure = toJobFailure(
  new ServiceError("CANCELLED_BY_REQUEST", "the job was cancelled by a request"),
);

function jobsOf(outcome: SubmitOutcome): { readonly jobs: readonly JobRecord[] } {
  switch (outcome.type) {
    case "accepted":
    case "repeated":
      return outcome;
    case "conflict":
      throw new ServiceError(
        "REQUEST_ID_REUSED",
        "the request_id was used before by another request; use a new one for a new request",
      );
    case "full":
      throw new ServiceError("QUEUE_FULL", `${outcome.queuedCount} jobs wait already; try again later`, {
        retryAfterMs: 1_000,
      });
  }
}

function assertHasHad({ id, lastSequence }: JobRecord, after: bigint): void {
  if (after > lastSequence) {
    throw new ServiceError(
      "OFFSET_OUT_OF_RANGE",
      `the job has had ${lastSequence} events; ${after} is beyond the last of them`,
      { metadata: { job_id: id, last_sequence: `${lastSequence}` } },
    );
  }
}

function batchNotFound(): ServiceError {
  return new ServiceError(
    "BATCH_NOT_FOUND",
    "there is no such batch; its jobs may have expired or been deleted",
  );
}

/** The same failure for one spec of a batch, whose fields it names. */
function inBatch(error: ServiceError, index: number): ServiceError {
  const place = (field: string) => field.replace(/^spec\b/, `specs[${index}]`);
  const violations = error.details.violations?.map(({ field, description }) => ({
    field: place(field),
    description,
  }));
  return new ServiceError(
    error.reason,
    place(error.message),
    { ...error.details, ...(violations && { violations }) },
    { cause: error },
  );
}
