import type { ResolvedGeneration } from "../domain/generation.ts";
import type { GenerationPlan } from "../domain/generation-plan.ts";
import type { LastingEvent, LastingEventData } from "../domain/job-event.ts";
import type { JobFailure } from "../domain/job-failure.ts";
import type { JobRecord, PromptPlace } from "../domain/job-record.ts";
import type { JobState } from "../domain/job-state.ts";

/**
 * Keeps jobs, their events, and who drives which backend. What it has taken is on disk when its promise resolves.
 *
 * Every method throws ServiceError `STORE_UNAVAILABLE` if the store cannot be reached, is full or out of order. What was
 * asked for may then have been done or not; whoever repeats it says how to tell. Aborting `signal` ends the waiting, not
 * what the database may be doing already.
 */
export interface JobStore {
  /** Resolves if the store answers and can write. */
  check(signal: AbortSignal): Promise<void>;

  /**
   * Takes in jobs, all of them or none. Each gets the events `accepted` and `queued`; one that is made of an earlier
   * result gets `accepted`, `image` for each image, `output` for each output, and `completed`.
   *
   * Of any number of submissions with the same request id of a tenant, at the same time or later, exactly one is
   * accepted, and every other one learns what that was.
   *
   * @throws ServiceError `ASSET_NOT_FOUND` if the tenant does not have an asset that a job reads (`plan.inputs`), or an
   * image or output of an earlier result is not there any more
   */
  submit(submission: Submission, signal: AbortSignal): Promise<SubmitOutcome>;

  /**
   * What a submission under `request` would find if the id is taken; `undefined` if it is free. For answering a repeat
   * without making again what it asks for. If `attached`, a call waits for the job from now on, as in {@link attach}.
   */
  findRepeat(
    tenant: string,
    request: Pick<NonNullable<Submission["request"]>, "id" | "fingerprint">,
    attached: boolean,
    signal: AbortSignal,
  ): Promise<Extract<SubmitOutcome, { type: "repeated" | "conflict" }> | undefined>;

  /** A job; `undefined` if the tenant has none of that id. */
  get(tenant: string, jobId: string, signal: AbortSignal): Promise<JobRecord | undefined>;

  /** Jobs that fit `filter`, the newest first. At most `limit`; more may follow after the last of them. */
  list(tenant: string, filter: JobFilter, limit: number, signal: AbortSignal): Promise<readonly JobRecord[]>;

  /** A batch and its jobs in the order of their index; `undefined` if the tenant has none of that id. */
  getBatch(tenant: string, batchId: string, signal: AbortSignal): Promise<BatchRecord | undefined>;

  /** The events of a job that are numbered above `after`, in order; `undefined` if there is no such job (any more). */
  readEvents(jobId: string, after: bigint, signal: AbortSignal): Promise<readonly LastingEvent[] | undefined>;

  /** The newest job of the tenant that succeeded with this key and is kept at least until `keptUntil`. */
  findReusable(
    tenant: string,
    reuseKey: string,
    keptUntil: Date,
    signal: AbortSignal,
  ): Promise<JobRecord | undefined>;

  /** For each of these jobs that is queued: how many jobs are before it or with a backend. */
  placesOf(jobIds: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, number>>;

  /** Numbers of jobs of all tenants. */
  counts(signal: AbortSignal): Promise<JobCounts>;

  /**
   * One more call waits for the job: see {@link detach}. A job that has been submitted with `attached` has one already.
   * Does nothing if there is no such job, or it has ended.
   */
  attach(jobId: string, signal: AbortSignal): Promise<void>;

  /**
   * A call that waited for the job has gone. Returns how many still wait; `undefined` if there is no such job, or it has
   * ended.
   */
  detach(jobId: string, signal: AbortSignal): Promise<number | undefined>;

  /**
   * Stops a job because of `failure`: one that is queued ends at once (event `failed`), one that runs becomes
   * `cancelling` (event `cancelling`) and is ended by who drives its backend. Does nothing to others.
   *
   * @param onlyIfUnattached leaves the job alone if calls wait for it
   * @returns what it did, with the job as it is now; `undefined` if the tenant (any, if left out) has no such job
   */
  stop(request: StopRequest, signal: AbortSignal): Promise<StopOutcome | undefined>;

  /**
   * Removes a job that has ended, with its events, and its images unless something else has them. Its request id stays
   * taken.
   *
   * @returns what was found: `active` jobs are left as they are
   */
  remove(tenant: string, jobId: string, signal: AbortSignal): Promise<"removed" | "active" | "absent">;

  /**
   * Takes the lease of a backend for `owner` if nobody holds it, or who held it has not renewed it in time. Each time,
   * its token is higher than ever before. One owner never holds a lease twice.
   */
  acquireLease(
    backend: string,
    owner: string,
    ttlMs: number,
    signal: AbortSignal,
  ): Promise<Lease | undefined>;

  /** Renews a lease, also one that has run out, unless another owner has taken it: then returns false. */
  renewLease(lease: Lease, ttlMs: number, signal: AbortSignal): Promise<boolean>;

  /** Gives a lease back. Does nothing if it is somebody else's now. */
  releaseLease(lease: Lease, signal: AbortSignal): Promise<void>;

  /**
   * Gives up to `limit` queued jobs to the backend of `lease`, the oldest first (within a batch by index): they are
   * `running` under a new attempt, with a prompt id that `newPromptId` makes. If the last attempt of a job was on this
   * very backend and its fate is unknown, the job is given that attempt again, to be followed and not run anew. A job
   * is given to one claimer only. Returns none if the lease is somebody else's now. Jobs that are written to at that very
   * moment are passed over: whoever does so, and leaves them queued, tells claimers to look again.
   */
  claim(
    lease: Lease,
    limit: number,
    newPromptId: () => string,
    signal: AbortSignal,
  ): Promise<readonly Claim[]>;

  /**
   * Puts every job that runs on the backend of `lease`, or is being cancelled there, under this lease, whoever drove it
   * before, and returns all of them. Writes under older leases of that backend fail from then on. Returns none if the
   * lease is somebody else's now.
   */
  adopt(lease: Lease, signal: AbortSignal): Promise<readonly JobRecord[]>;

  /**
   * Writes what happened to jobs under a lease, in one transaction. Each write is taken or refused on its own: it is
   * refused if the job is not under that lease, has ended, is gone, or cannot take these events any more: one that has to
   * stop by now cannot succeed or go back into the queue. A write that has been taken before under the
   * same id is not taken twice, so that one whose outcome is not known can be repeated, as long as no other write to the
   * same job was made in between.
   */
  record(writes: readonly JobWrite[], signal: AbortSignal): Promise<readonly WriteOutcome[]>;

  /** Ends up to `limit` queued jobs whose deadline has passed, by `failure`. Returns what was written to each. */
  expireQueued(
    now: Date,
    failure: JobFailure,
    limit: number,
    signal: AbortSignal,
  ): Promise<readonly JobChange[]>;

  /** Ends those of these jobs that are queued and that calls wait for, by `failure`. Returns what was written to each. */
  failAttached(
    jobIds: readonly string[],
    failure: JobFailure,
    signal: AbortSignal,
  ): Promise<readonly JobChange[]>;

  /**
   * Puts up to `limit` running jobs back into the queue whose backend nobody has driven for `undrivenMs`; the fate of
   * their attempts is unknown. Those that were being cancelled end by what they were cancelled for, and those that have
   * had `maxAttempts` by `failure`. Returns what was written to each.
   */
  rescueUndriven(options: RescueOptions, signal: AbortSignal): Promise<readonly JobChange[]>;

  /**
   * Removes up to `limit` jobs whose time has come, with their events and batches, and request ids whose time has come.
   * Returns how many jobs.
   */
  removeExpired(now: Date, limit: number, signal: AbortSignal): Promise<number>;
}

/** Jobs to take in together. */
export interface Submission {
  readonly tenant: string;
  /** Under which the submission can be repeated; absent: it cannot. */
  readonly request?: {
    readonly id: string;
    /** Tells one request from another: a repeat has the same one. */
    readonly fingerprint: string;
    /** Until when at least the id is taken. */
    readonly keptUntil: Date;
  };
  /** Id of the batch that the jobs are; absent: one job that is no batch. */
  readonly batchId?: string;
  /** One, or several that are a batch. */
  readonly jobs: readonly NewJob[];
  /** Jobs that may be queued, these included; beyond that the submission is refused. */
  readonly maxQueued: number;
}

export interface NewJob {
  readonly id: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly note: string;
  readonly generation: ResolvedGeneration;
  readonly plan: GenerationPlan;
  readonly reuseKey: string;
  readonly createTime: Date;
  readonly queueDeadline: Date;
  readonly retentionMs: number;
  /** Whether a call waits for it, so that it is stopped when nobody does any more. */
  readonly attached: boolean;
  /** What it ends with at once, if that need not be drawn anew. */
  readonly result?: Extract<LastingEventData, { type: "completed" }>["result"];
}

export type SubmitOutcome =
  | { readonly type: "accepted"; readonly jobs: readonly JobRecord[] }
  /** The request id was taken by the same request; of its jobs, those that are still kept. */
  | {
      readonly type: "repeated";
      readonly jobs: readonly JobRecord[];
      readonly batchId: string | undefined;
    }
  /** The request id was taken by another request. */
  | { readonly type: "conflict" }
  | { readonly type: "full"; readonly queuedCount: number };

export interface JobFilter {
  /** Empty: any. */
  readonly states: readonly JobState[];
  /** The job must have all of these. */
  readonly labels: Readonly<Record<string, string>>;
  readonly createdFrom?: Date;
  /** Exclusive. */
  readonly createdBefore?: Date;
  readonly batchId?: string;
  /** Jobs that run this template; without a version, any of it. */
  readonly template?: { readonly name: string; readonly version?: number };
  /** The last job of the page before. */
  readonly after?: { readonly createTime: Date; readonly id: string };
}

export interface BatchRecord {
  readonly id: string;
  readonly requestId: string;
  readonly createTime: Date;
  readonly jobs: readonly JobRecord[];
}

export interface JobCounts {
  readonly queued: number;
  /** Given to a backend and not ended. */
  readonly running: number;
}

export interface StopRequest {
  readonly tenant?: string;
  readonly jobId: string;
  readonly failure: JobFailure;
  readonly onlyIfUnattached?: boolean;
}

export interface StopOutcome {
  /** The state in which the job was found. */
  readonly foundIn: JobState;
  readonly job: JobRecord;
  /** The events that this wrote; none if there was nothing to stop. */
  readonly events: readonly LastingEvent[];
}

/** The right to drive a backend. */
export interface Lease {
  readonly backend: string;
  readonly owner: string;
  /** Rises with every change of hands: writes under a lower one are refused. */
  readonly token: number;
}

export interface Claim {
  readonly job: JobRecord;
  /** The attempt was made before, and may be on the backend. */
  readonly isRepeat: boolean;
  /** Where an earlier attempt of the job may still be, for nobody. */
  readonly leftBehind?: PromptPlace;
}

/** What happened to one job, seen by who drives its backend. */
export interface JobWrite {
  readonly jobId: string;
  readonly lease: Lease;
  /** Never used for another write. */
  readonly writeId: string;
  /** In order; may be none if something else is to be changed. */
  readonly events: readonly LastingEventData[];
  /** What became of the attempt, for a job that goes back into the queue: `never` takes it back as if it had not been. */
  readonly attemptFate?: "unknown" | "gone" | "never";
  /** A new deadline, for a job that goes back into the queue. */
  readonly queueDeadline?: Date;
}

export type WriteOutcome =
  | { readonly type: "taken"; readonly events: readonly LastingEvent[]; readonly job: JobRecord }
  | { readonly type: "refused" };

/** Events that were written to a job. */
export interface JobChange {
  readonly jobId: string;
  readonly events: readonly LastingEvent[];
  /** Where an attempt of the job may still be, for nobody, since it has ended by these events. */
  readonly leftBehind?: PromptPlace;
}

export interface RescueOptions {
  readonly undrivenMs: number;
  readonly maxAttempts: number;
  readonly failure: JobFailure;
  readonly queueDeadline: Date;
  readonly limit: number;
}
