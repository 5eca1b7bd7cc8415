import { isServiceError, type ServiceError } from "../domain/errors.ts";
import type { LastingEventData, PassingEventData } from "../domain/job-event.ts";
import { type JobFailure, toServiceError } from "../domain/job-failure.ts";
import type { Attempt, JobRecord } from "../domain/job-record.ts";
import type { EventBus } from "../storage/event-bus.ts";
import type { Lease } from "../storage/job-store.ts";
import type { Recorder } from "./recorder.ts";

export interface JobRunDependencies {
  readonly recorder: Recorder;
  readonly bus: EventBus;
  readonly now: () => Date;
}

/** A job while this process runs it on a backend that it holds the lease of. */
export class JobRun {
  readonly id: string;
  readonly lease: Lease;
  readonly attempt: Attempt;
  /** The prompt may be on the backend already. */
  readonly resumes: boolean;
  readonly #deps: JobRunDependencies;
  readonly #stopping = new AbortController();
  readonly #leaving = new AbortController();
  readonly #passing = new Map<PassingEventData["type"], PassingEventData>();
  #record: JobRecord;
  #failure: JobFailure | undefined;
  #fault: unknown;
  #writesUnderWay = 0;

  constructor(record: JobRecord, attempt: Attempt, lease: Lease, resumes: boolean, deps: JobRunDependencies) {
    this.id = record.id;
    this.lease = lease;
    this.attempt = attempt;
    this.resumes = resumes;
    this.#record = record;
    this.#deps = deps;
    if (record.state === "cancelling" && record.failure !== undefined) {
      this.obey(record.failure);
    }
  }

  /** The job as it is in the store, as far as this run has brought it. */
  get record(): JobRecord {
    return this.#record;
  }

  /** Why it has to stop, if it has to. */
  get failure(): JobFailure | undefined {
    return this.#failure;
  }

  /** Why something could not be written, if the store took it for impossible: a fault of ours. */
  get fault(): unknown {
    return this.#fault;
  }

  /** Aborted, with why as an error, when the job has to stop: the prompt is to be cancelled. */
  get stopSignal(): AbortSignal {
    return this.#stopping.signal;
  }

  /** Aborted when the job is no business of this process any more: the prompt is to be left as it is. */
  get leaveSignal(): AbortSignal {
    return this.#leaving.signal;
  }

  /**
   * Writes what has happened. Resolves when it is on disk.
   *
   * @throws ServiceError `LEASE_LOST`; the run has been left after that, or after any other error
   */
  async write(...events: readonly LastingEventData[]): Promise<JobRecord> {
    this.#writesUnderWay += 1;
    const canWait = events.every(
      ({ type }) => type === "started" || type === "nodeStarted" || type === "image" || type === "output",
    );
    try {
      this.#record = await this.#deps.recorder.write(this.id, this.lease, events, { canWait });
      return this.#record;
    } catch (error) {
      if (!isServiceError(error, "LEASE_LOST")) {
        this.#fault ??= error;
      }
      this.leave();
      throw error;
    } finally {
      this.#writesUnderWay -= 1;
      this.#passOn();
    }
  }

  /** Tells who watches now. After the events that are being written; if there is more of one kind by then, the newest. */
  pass(data: PassingEventData): void {
    this.#passing.set(data.type, data);
    this.#passOn();
  }

  /** The job has to stop, as the store says already. The first reason counts. */
  obey(failure: JobFailure): void {
    if (this.#failure === undefined) {
      this.#failure = failure;
      this.#stopping.abort(toServiceError(failure));
    }
  }

  /** The job has to stop, for a reason that is ours. */
  stop(error: ServiceError): void {
    if (this.#failure === undefined) {
      const failure = { reason: error.reason, message: error.message, details: error.details };
      // Left if it cannot be written: then the job is somebody else's.
      this.write({ type: "cancelling", failure }).catch(() => this.leave());
      this.obey(failure);
    }
  }

  leave(): void {
    this.#leaving.abort();
  }

  #passOn(): void {
    if (this.#writesUnderWay > 0 || this.#leaving.signal.aborted) {
      return;
    }
    const { bus, now } = this.#deps;
    for (const [type, data] of this.#passing) {
      this.#passing.delete(type);
      const event = { sequence: this.#record.lastSequence, time: now(), data };
      bus.publish({ type: "passing", jobId: this.id, event });
    }
  }
}
