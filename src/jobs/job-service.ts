import type { DryRun } from "../domain/dry-run.ts";
import { ServiceError } from "../domain/errors.ts";
import type { GenerationSpec } from "../domain/generation.ts";
import type { JobEvent } from "../domain/job-event.ts";
import { type JobFailure, toJobFailure } from "../domain/job-failure.ts";
import { type JobRecord, leftBehindBy } from "../domain/job-record.ts";
import type { JobState } from "../domain/job-state.ts";
import { merge } from "../lib/merge.ts";
import type { BatchRecord, JobFilter, JobStore } from "../storage/job-store.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Abandon } from "./abandon.ts";
import { AttachedCalls } from "./attached-calls.ts";
import type { Caller } from "./caller.ts";
import { type JobFeeds, jobNotFound } from "./job-feeds.ts";
import type { SubmitOptions } from "./submit-options.ts";
import { Submitter, type SubmitterDependencies, type SubmitterOptions } from "./submitter.ts";

/** All times in milliseconds. */
export interface JobServiceOptions extends SubmitterOptions {
  /** How long a job whose caller has gone waits for a repeat of the call, if that has a request id. */
  readonly reconnectGraceMs: number;
  /** Most jobs of one batch. */
  readonly batchLimit: number;
}

export interface JobServiceDependencies extends Omit<SubmitterDependencies, "calls"> {
  readonly feeds: JobFeeds;
  readonly abandon: Abandon;
  readonly logger: Logger;
}

/** What can be done with jobs, on whatever replica and backend they are. */
export class JobService implements AsyncDisposable {
  readonly #options: JobServiceOptions;
  readonly #deps: JobServiceDependencies;
  readonly #calls: AttachedCalls;
  readonly #submitter: Submitter;

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
    this.#submitter = new Submitter(options, { ...deps, calls: this.#calls });
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
    this.#submitter.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.#calls[Symbol.asyncDispose]();
  }

  /**
   * Tells what would become of `spec`. A spec that is wrong is no failure.
   *
   * @throws ServiceError `NO_BACKEND` if nothing is known of any backend; what has nothing to do with the spec
   */
  async dryRun(spec: GenerationSpec, caller: Caller, signal: AbortSignal): Promise<DryRun> {
    return await this.#deps.dryRunner.run(spec, caller, signal);
  }

  /**
   * As {@link dryRun} for each spec that a call would make jobs of, but fails as that call would.
   *
   * @param isBatch whether fields in errors are below `specs[i]`, and below `spec` else
   * @throws ServiceError what is wrong with a spec
   */
  async validate(
    specs: readonly GenerationSpec[],
    options: SubmitOptions,
    caller: Caller,
    { isBatch }: { readonly isBatch: boolean },
    signal: AbortSignal,
  ): Promise<readonly DryRun[]> {
    return await this.#submitter.validate(specs, options, caller, { isBatch }, signal);
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
    const outcome = await this.#submitter.submit(
      specs,
      options,
      caller,
      { attached: false, isBatch: true },
      signal,
    );
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
    const { jobs } = await this.#submitter.submit(
      [spec],
      options,
      caller,
      { attached, isBatch: false },
      signal,
    );
    const [job] = jobs;
    if (job === undefined) {
      throw new ServiceError(
        "JOB_NOT_FOUND",
        "the job that this request made has been deleted; use another request_id for another job",
      );
    }
    return job;
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
}

const stopTimeoutMs = 10_000;

const cancelledByRequest: JobFailure = toJobFailure(
  new ServiceError("CANCELLED_BY_REQUEST", "the job was cancelled by a request"),
);

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
