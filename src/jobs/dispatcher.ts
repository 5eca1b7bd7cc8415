import { randomUUID } from "node:crypto";
import { ServiceError } from "../domain/errors.ts";
import { type EngineHealth, isUsable } from "../engine/engine.ts";
import type { Job } from "./job.ts";
import { RepeatPolicy, type RepeatPolicyOptions } from "./repeat-policy.ts";
import { type RunDependencies, runAttempt } from "./run-attempt.ts";

/** Bounds of the queue. All times in milliseconds. */
export interface DispatcherOptions extends RepeatPolicyOptions {
  /** Prompts to have at the backend at once: one that runs and others ready to run, so that it never waits for us. */
  readonly maxInFlight: number;
  /** Jobs that may wait; above that, new ones are refused. */
  readonly maxQueued: number;
  /** Longest time until a backend begins to run a job, from being accepted or from being lost by a backend. */
  readonly maxQueueMs: number;
}

/**
 * Gives waiting jobs to the engine, the oldest first, and those that the engine lost again. Disposing of it stops every
 * job with `SHUTTING_DOWN` and waits until each has ended.
 */
export class Dispatcher implements AsyncDisposable {
  readonly #options: DispatcherOptions;
  readonly #deps: RunDependencies;
  readonly #queue: Job[] = [];
  /** Jobs given to the engine that have not ended. */
  readonly #running = new Set<Job>();
  /** Those of them whose prompt is at the engine; of the others only the images are still to be fetched. */
  readonly #atEngine = new Set<Job>();
  readonly #waitTimers = new Map<Job, NodeJS.Timeout>();
  readonly #policy: RepeatPolicy;
  readonly #disposed = new AbortController();
  readonly #watching: Promise<void>;
  #accepting = true;
  #downTimer: NodeJS.Timeout | undefined;
  /** Whether the backend has been down for longer than jobs wait for it. */
  #gaveUp = false;
  #placesTimer: NodeJS.Timeout | undefined;
  /** Runs while the engine is left alone, since it did not take a prompt. */
  #pauseTimer: NodeJS.Timeout | undefined;
  /** Moving average of how long a job takes at the backend. */
  #meanRunMs = 1_000;

  constructor(options: DispatcherOptions, deps: RunDependencies) {
    this.#options = options;
    this.#deps = deps;
    this.#policy = new RepeatPolicy(options, deps.clock);
    this.#watching = this.#watchEngine();
  }

  get queuedCount(): number {
    return this.#queue.length;
  }

  get runningCount(): number {
    return this.#running.size;
  }

  /** @throws ServiceError `SHUTTING_DOWN`, `QUEUE_FULL` or `NO_BACKEND` if a job would be refused now */
  assertAccepting(): void {
    if (!this.#accepting) {
      throw shuttingDown();
    }
    if (!isUsable(this.#deps.engine.health())) {
      throw noBackend(this.#deps.engine.health());
    }
    if (this.#queue.length >= this.#options.maxQueued) {
      const retryAfterMs = Math.min(60_000, Math.max(100, this.#meanRunMs));
      throw new ServiceError("QUEUE_FULL", `${this.#queue.length} jobs wait already; try again later`, {
        retryAfterMs,
      });
    }
  }

  /**
   * Takes a job in. It ends in any case: run, stopped, or failed for want of a backend.
   *
   * @throws ServiceError as `assertAccepting`
   */
  enqueue(job: Job): void {
    this.assertAccepting();
    job.stopSignal.addEventListener("abort", () => this.#dropIfQueued(job), { once: true });
    void job.ended.then(() => this.#stopWaiting(job));
    this.#queue.push(job);
    this.#wait(job);
    this.#tellPlace(job, this.#queue.length - 1);
    this.#pump();
  }

  /** Refuses new jobs from now on; those accepted go on. */
  close(): void {
    this.#accepting = false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    this.#disposed.abort();
    const jobs = [...this.#queue, ...this.#running];
    for (const job of jobs) {
      job.stop(shuttingDown());
    }
    await Promise.all(jobs.map(({ ended }) => ended));
    await this.#watching;
    clearTimeout(this.#downTimer);
    clearTimeout(this.#placesTimer);
    clearTimeout(this.#pauseTimer);
  }

  #pump(): void {
    while (this.#pauseTimer === undefined && this.#hasFreeSlot() && isUsable(this.#deps.engine.health())) {
      const job = this.#queue.shift();
      if (job === undefined) {
        return;
      }
      this.#running.add(job);
      this.#atEngine.add(job);
      this.#run(job).catch((fault: unknown) => this.#onFault(job, fault));
      this.#tellPlacesSoon();
    }
  }

  async #run(job: Job): Promise<void> {
    const attempt = { number: job.attempts.length + 1, promptId: randomUUID() };
    job.attempts.push(attempt); // remembered before the engine hears of it
    job.become("running");
    const startMs = this.#deps.clock.monotonicMs();
    let goesOn = false;
    try {
      await runAttempt(job, attempt, this.#deps, {
        onStarted: () => this.#stopWaiting(job),
        onEngineFree: () => this.#freeSlot(job),
      });
      this.#meanRunMs = 0.8 * this.#meanRunMs + 0.2 * (this.#deps.clock.monotonicMs() - startMs);
      this.#deps.engine.forget(attempt.promptId);
    } catch (error) {
      goesOn = await this.#settle(job, error);
    }
    this.#running.delete(job);
    this.#atEngine.delete(job);
    if (goesOn) {
      this.#requeue(job);
    }
    this.#pump();
  }

  /** A fault of ours: the job ends, and the others go on. */
  #onFault(job: Job, fault: unknown): void {
    this.#deps.logger.error({ jobId: job.id, err: fault }, "a job broke off");
    this.#running.delete(job);
    if (!job.hasEnded) {
      job.fail(fault);
    }
    this.#freeSlot(job);
  }

  #hasFreeSlot(): boolean {
    const delivering = this.#running.size - this.#atEngine.size;
    return this.#atEngine.size < this.#options.maxInFlight && delivering < maxDelivering;
  }

  /** The engine never waits for images to be fetched: the next job is given to it meanwhile. */
  #freeSlot(job: Job): void {
    this.#atEngine.delete(job);
    this.#pump();
  }

  /** Ends a job whose attempt did not succeed, or returns true if it is to be run again. */
  async #settle(job: Job, error: unknown): Promise<boolean> {
    const verdict = this.#policy.judge(job, error);
    if (verdict.type === "fail") {
      job.fail(verdict.error);
      return false;
    }
    const { engine, logger } = this.#deps;
    logger.warn({ jobId: job.id, attempt: job.attempts.length, err: error }, "will run a job again");
    if (verdict.type === "offerAgain") {
      job.attempts.pop();
      this.#pauseTimer ??= setTimeout(() => {
        this.#pauseTimer = undefined;
        this.#pump();
      }, offerPauseMs);
    } else if (verdict.freeMemory) {
      await engine.freeMemory(job.stopSignal).catch((freeError: unknown) => {
        logger.warn({ jobId: job.id, err: freeError }, "cannot free the memory of the backend");
      });
    }
    if (job.stopSignal.aborted) {
      job.fail(job.stopSignal.reason);
      return false;
    }
    return true;
  }

  #requeue(job: Job): void {
    job.become("queued");
    this.#queue.unshift(job);
    this.#wait(job);
    this.#tellPlace(job, 0);
    if (this.#gaveUp) {
      this.#giveUpQueue();
    }
  }

  /** From now on the job waits: if no backend begins to run it in time, it ends. Goes on if it waits already. */
  #wait(job: Job): void {
    const { maxQueueMs } = this.#options;
    if (!this.#waitTimers.has(job)) {
      const text = `the job waited for more than ${maxQueueMs / 1000} s to be run`;
      const timer = setTimeout(() => job.stop(new ServiceError("JOB_TIMEOUT", text)), maxQueueMs);
      this.#waitTimers.set(job, timer);
    }
  }

  #stopWaiting(job: Job): void {
    clearTimeout(this.#waitTimers.get(job));
    this.#waitTimers.delete(job);
  }

  #dropIfQueued(job: Job): void {
    const place = this.#queue.indexOf(job);
    if (place !== -1) {
      this.#queue.splice(place, 1);
      job.fail(job.stopSignal.reason);
      this.#tellPlacesSoon();
    }
  }

  async #watchEngine(): Promise<void> {
    const { engine, logger } = this.#deps;
    try {
      for await (const health of engine.watchHealth(this.#disposed.signal)) {
        if (isUsable(health)) {
          clearTimeout(this.#downTimer);
          this.#downTimer = undefined;
          this.#gaveUp = false;
          this.#pump();
        } else {
          this.#downTimer ??= setTimeout(() => this.#giveUpQueue(), this.#options.backendDownGraceMs);
        }
      }
    } catch (error) {
      if (!this.#disposed.signal.aborted) {
        logger.error({ err: error }, "stopped watching the health of the backend");
      }
    }
  }

  #giveUpQueue(): void {
    this.#gaveUp = true;
    const health = this.#deps.engine.health();
    for (const job of this.#queue.splice(0)) {
      job.fail(noBackend(health));
    }
  }

  #tellPlace(job: Job, place: number): void {
    job.log.append({
      type: "queued",
      jobsAhead: this.#atEngine.size + place,
      attempt: job.attempts.length + 1,
    });
  }

  /** At most five times a second: with many jobs waiting, each change concerns all of them. */
  #tellPlacesSoon(): void {
    this.#placesTimer ??= setTimeout(() => {
      this.#placesTimer = undefined;
      for (const [place, job] of this.#queue.entries()) {
        this.#tellPlace(job, place);
      }
    }, 200);
  }
}

/** Jobs whose images may be under way at once: a slow way from the engine must not pile them up here. */
const maxDelivering = 16;

/** How long the engine is left alone when it did not take a prompt, in milliseconds. */
const offerPauseMs = 250;

function noBackend(health: EngineHealth): ServiceError {
  const why = health.reason === "" ? health.state : health.reason;
  return new ServiceError("NO_BACKEND", `no ComfyUI backend is up (${why}); try again later`, {
    retryAfterMs: 2_000,
  });
}

function shuttingDown(): ServiceError {
  return new ServiceError("SHUTTING_DOWN", "the server is shutting down; try again in a moment", {
    retryAfterMs: 1_000,
  });
}
