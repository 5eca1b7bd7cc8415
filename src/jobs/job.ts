import { ServiceError } from "../domain/errors.ts";
import type { ResolvedGeneration } from "../domain/generation.ts";
import type { ImageInfo } from "../domain/image.ts";
import type { GenerationResult, JobEvent } from "../domain/job-event.ts";
import { canBecome, isTerminal, type JobState } from "../domain/job-state.ts";
import type { GenerationPlan } from "../domain/text-to-image.ts";
import type { Clock } from "../lib/clock.ts";
import { JobLog } from "./job-log.ts";

/** One run of a job on a backend, remembered before the backend hears of it. */
export interface Attempt {
  /** From 1. */
  readonly number: number;
  readonly promptId: string;
}

/** A generation on its way from being accepted to its end. */
export class Job {
  readonly id: string;
  readonly generation: ResolvedGeneration;
  readonly plan: GenerationPlan;
  readonly log: JobLog;
  readonly createTime: Date;
  readonly createdMs: number;
  readonly attempts: Attempt[] = [];
  /** The images fetched so far, by index. They are kept over attempts: the same seed gives the same image. */
  readonly images = new Map<number, ImageInfo>();
  /** Resolves when the job has ended, however it did. */
  readonly ended: Promise<void>;
  readonly #end = Promise.withResolvers<void>();
  readonly #abort = new AbortController();
  #state: JobState = "queued";
  #failure: unknown;

  constructor(id: string, generation: ResolvedGeneration, plan: GenerationPlan, clock: Clock) {
    this.id = id;
    this.generation = generation;
    this.plan = plan;
    this.log = new JobLog(clock);
    this.createTime = clock.now();
    this.createdMs = clock.monotonicMs();
    this.ended = this.#end.promise;
  }

  get state(): JobState {
    return this.#state;
  }

  get hasEnded(): boolean {
    return isTerminal(this.#state);
  }

  /** What the job ended with, if it did not succeed. */
  get failure(): unknown {
    return this.#failure;
  }

  /** Aborted when the job has to stop; its reason says why. */
  get stopSignal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Tells the job to stop. Who runs it brings that about; the first reason counts. */
  stop(why: unknown): void {
    if (this.#state === "running") {
      this.become("cancelling");
    }
    this.#abort.abort(why);
  }

  /** @throws Error if a job in this state cannot become `state`, which would be a fault of ours */
  become(state: JobState): void {
    if (!canBecome(this.#state, state)) {
      throw new Error(`a ${this.#state} job cannot become ${state}`);
    }
    this.#state = state;
    if (isTerminal(state)) {
      this.#end.resolve();
    }
  }

  addImage(image: ImageInfo): void {
    this.images.set(image.index, image);
    this.log.append({ type: "image", image });
  }

  /** Ends the job with `result`. */
  succeed(result: GenerationResult): void {
    this.become("succeeded");
    this.log.append({ type: "completed", result });
  }

  /** Ends the job without success: sets the state that fits `error`, then tells the readers. */
  fail(error: unknown): void {
    this.#failure = error;
    this.become(this.#stateAfter(error));
    this.log.fail(error instanceof ServiceError ? error.with({ metadata: { job_id: this.id } }) : error);
  }

  /** Yields the events numbered above `after`, waits for more, and ends with the job or throws why it did not succeed. */
  events(after: bigint, signal: AbortSignal): AsyncIterable<JobEvent> {
    return this.log.read(after, signal);
  }

  #stateAfter(error: unknown): JobState {
    const wasStopped = error === this.#abort.signal.reason;
    if (!wasStopped) {
      return "failed";
    }
    const outOfTime = error instanceof ServiceError && error.reason === "JOB_TIMEOUT";
    if (outOfTime) {
      return this.#state === "queued" ? "expired" : "failed";
    }
    return "cancelled";
  }
}
