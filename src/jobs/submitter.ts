import { randomUUID } from "node:crypto";
import type { DryRun } from "../domain/dry-run.ts";
import { isServiceError, ServiceError } from "../domain/errors.ts";
import type { GenerationSpec } from "../domain/generation.ts";
import type { GenerationResult } from "../domain/job-event.ts";
import type { JobRecord } from "../domain/job-record.ts";
import { type Engine, isUsable } from "../engine/engine.ts";
import type { Clock } from "../lib/clock.ts";
import type { JobStore, NewJob, SubmitOutcome } from "../storage/job-store.ts";
import type { Announcer } from "./announcer.ts";
import type { AttachedCalls } from "./attached-calls.ts";
import type { Caller } from "./caller.ts";
import type { DryRunner } from "./dry-runner.ts";
import { noBackend } from "./patience.ts";
import type { SpecResolver } from "./spec-resolver.ts";
import type { StoreWatch } from "./store-watch.ts";
import type { SubmitOptions } from "./submit-options.ts";

/** All times in milliseconds. */
export interface SubmitterOptions {
  /** Jobs that may wait; above that, new ones are refused. */
  readonly maxQueued: number;
  /** Longest time until a backend begins to run a job, from being accepted. */
  readonly maxQueueMs: number;
  /** How long a job is kept after its end, if its caller does not say. */
  readonly retentionMs: number;
  /** The longest that a caller may ask for. */
  readonly maxRetentionMs: number;
}

export interface SubmitterDependencies {
  readonly engines: readonly Engine[];
  readonly store: JobStore;
  readonly storeWatch: StoreWatch;
  readonly resolver: SpecResolver;
  readonly dryRunner: DryRunner;
  readonly announcer: Announcer;
  readonly calls: AttachedCalls;
  readonly clock: Clock;
}

/** How jobs are submitted. */
export interface SubmitKind {
  /** Whether a call waits for each of them. */
  readonly attached: boolean;
  /** Whether they are a batch. Fields in errors are below `specs[i]` then, and below `spec` else. */
  readonly isBatch: boolean;
}

/** Makes jobs of specs: answers repeats, fills in what is left open, reuses what was drawn before, and writes the rest. */
export class Submitter {
  readonly #options: SubmitterOptions;
  readonly #deps: SubmitterDependencies;
  #accepting = true;
  #lastCreateMs = 0;

  constructor(options: SubmitterOptions, deps: SubmitterDependencies) {
    this.#options = options;
    this.#deps = deps;
  }

  /** Refuses new jobs from now on; repeats are still answered. */
  close(): void {
    this.#accepting = false;
  }

  /**
   * Makes a job of each spec, all or none; they are on disk when this resolves. A repeat gets what is still kept of the
   * first, which may be nothing.
   *
   * @throws ServiceError what is wrong with a spec, or why no job is accepted now
   */
  async submit(
    specs: readonly GenerationSpec[],
    options: SubmitOptions,
    caller: Caller,
    { attached, isBatch }: SubmitKind,
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

  /**
   * Tells what {@link submit} would make jobs of, and makes none. Whether there is room for them now is not looked at.
   *
   * @throws ServiceError what is wrong with a spec
   */
  async validate(
    specs: readonly GenerationSpec[],
    options: SubmitOptions,
    caller: Caller,
    { isBatch }: Pick<SubmitKind, "isBatch">,
    signal: AbortSignal,
  ): Promise<DryRun[]> {
    this.#retentionOf(options);
    const dryRunner = this.#deps.dryRunner.forCall();
    const dryRuns: DryRun[] = [];
    for (const [i, spec] of specs.entries()) {
      const dryRun = await dryRunner.run(spec, caller, signal);
      if (dryRun.error !== undefined) {
        throw isBatch ? inBatch(dryRun.error, i) : dryRun.error;
      }
      dryRuns.push(dryRun);
    }
    return dryRuns;
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
          this.#deps.calls.add(id, request !== undefined, AbortSignal.abort(error)); // it may be there, for nobody
        }
      }
      throw error;
    }
  }

  async #makeJobs(
    specs: readonly GenerationSpec[],
    options: SubmitOptions,
    caller: Caller,
    { attached, isBatch }: SubmitKind,
    signal: AbortSignal,
  ): Promise<MadeJob[]> {
    const retentionMs = this.#retentionOf(options);
    const resolver = this.#deps.resolver.forCall();
    const jobs: MadeJob[] = [];
    for (const [i, spec] of specs.entries()) {
      const id = randomUUID();
      const resolved = await resolver.resolve(spec, id, caller.tenant, signal).catch((error: unknown) => {
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
