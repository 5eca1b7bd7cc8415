import { randomUUID } from "node:crypto";
import { isServiceError } from "../domain/errors.ts";
import { toJobFailure } from "../domain/job-failure.ts";
import { endStateFor, hasEnded, type JobRecord } from "../domain/job-record.ts";
import { type Engine, isUsable } from "../engine/engine.ts";
import { pause } from "../lib/pause.ts";
import type { EventBus } from "../storage/event-bus.ts";
import type { Claim, JobStore, Lease } from "../storage/job-store.ts";
import type { Abandon } from "./abandon.ts";
import type { Announcer } from "./announcer.ts";
import { JobRun } from "./job-run.ts";
import type { Recorder } from "./recorder.ts";
import { RepeatPolicy, type RepeatPolicyOptions } from "./repeat-policy.ts";
import { type RunDependencies, runAttempt } from "./run-attempt.ts";

/** All times in milliseconds. */
export interface DriverOptions extends RepeatPolicyOptions {
  /** Unique for this process. */
  readonly owner: string;
  /** Prompts to have at the backend at once: one that runs and others ready to run, so that it never waits for us. */
  readonly maxInFlight: number;
  /** How long a backend stays with a process that does not renew its lease. */
  readonly leaseMs: number;
  /** Longest time until a backend begins to run a job, from being lost by a backend. */
  readonly maxQueueMs: number;
}

export interface DriverDependencies extends RunDependencies {
  readonly store: JobStore;
  readonly bus: EventBus;
  readonly recorder: Recorder;
  readonly announcer: Announcer;
  readonly abandon: Abandon;
}

/**
 * Drives one backend whenever it can get its lease: first it goes on with every job that is there already, then it gives
 * the backend the jobs that wait, the oldest first. What another process was in the middle of is looked up on the
 * backend before anything is run again.
 *
 * Disposing of it takes no more jobs, waits a while for those that are being cancelled, leaves the others as they are on
 * the backend for whoever drives it next, and gives the lease back.
 */
export class BackendDriver implements AsyncDisposable {
  readonly #options: DriverOptions;
  readonly #deps: DriverDependencies;
  readonly #engine: Engine;
  readonly #policy: RepeatPolicy;
  /** What is under way, each with its end. A job may be taken anew before the run that put it back knows that it did. */
  readonly #runs = new Map<JobRun, Promise<void>>();
  /** Those whose prompt is at the backend; of the others only the images are still to be fetched. */
  readonly #atBackend = new Set<JobRun>();
  readonly #closing = new AbortController();
  readonly #subscription: Disposable;
  readonly #working: Promise<unknown>;
  #wake = Promise.withResolvers<void>();
  #held: { readonly lease: Lease; validUntilMs: number } | undefined;
  /** Claims and adoptions follow each other, so that no job is taken for two. */
  #taking: Promise<void> = Promise.resolve();
  #draining = false;
  /** Whether jobs may wait that have not been claimed: the store is not asked for nothing. */
  #mayBeQueued = true;
  #pumping = false;
  #pumpAgain = false;
  /** Until when the backend is left alone, since it did not take a prompt. */
  #pausedUntilMs = 0;
  #refusals = 0;
  #pauseTimer: NodeJS.Timeout | undefined;

  constructor(options: DriverOptions, deps: DriverDependencies) {
    this.#options = options;
    this.#deps = deps;
    this.#engine = deps.engine;
    this.#policy = new RepeatPolicy(options, deps.clock);
    this.#subscription = deps.bus.subscribe("work", {
      onMessage: (message) => {
        if (message.type === "queued") {
          this.#mayBeQueued = true;
          this.#pump();
        } else if (message.type === "stopRequested" && message.backend === this.#engine.name) {
          this.#reconcile();
        } else if (message.type === "leaseReleased" && message.backend === this.#engine.name) {
          this.#wake.resolve();
        }
      },
      onGap: () => {
        this.#reconcile();
        this.#wake.resolve();
      },
    });
    this.#working = Promise.all([this.#keepLease(), this.#watchEngine()]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#draining = true;
    this.#reconcile(); // jobs whose callers have gone just now have to stop
    await this.#taking;
    this.#closing.abort();
    this.#wake.resolve();
    this.#subscription[Symbol.dispose]();
    clearTimeout(this.#pauseTimer);
    const stopping = [...this.#runs].filter(([run]) => run.failure !== undefined);
    await within(
      cancelPatienceMs,
      stopping.map(([, ended]) => ended),
    );
    await this.#leaveAll();
    await this.#working;
    const held = this.#held;
    if (held !== undefined) {
      this.#held = undefined;
      await this.#deps.store
        .releaseLease(held.lease, AbortSignal.timeout(releaseTimeoutMs))
        .then(() => this.#deps.bus.publish({ type: "leaseReleased", backend: this.#engine.name }))
        .catch((error: unknown) => {
          this.#deps.logger.warn({ err: error }, "cannot give back the lease of a backend; it will run out");
        });
    }
  }

  async #keepLease(): Promise<void> {
    const { signal } = this.#closing;
    const { leaseMs, owner } = this.#options;
    const { store, clock, logger } = this.#deps;
    while (!signal.aborted) {
      const askedMs = clock.monotonicMs();
      try {
        if (this.#held === undefined) {
          const lease = await store.acquireLease(
            this.#engine.name,
            owner,
            leaseMs,
            AbortSignal.timeout(leaseTimeoutMs), // not broken off by closing: what is got must be given back
          );
          if (lease !== undefined) {
            logger.info({ backend: lease.backend, token: lease.token }, "driving a backend");
            this.#held = { lease, validUntilMs: askedMs + leaseMs };
          }
        } else if (await store.renewLease(this.#held.lease, leaseMs, signal)) {
          this.#held.validUntilMs = askedMs + leaseMs;
        } else {
          logger.warn({ backend: this.#engine.name }, "another process drives the backend now");
          this.#held = undefined;
          await this.#leaveAll();
        }
        this.#reconcile();
      } catch (error) {
        if (!signal.aborted) {
          logger.warn(
            { err: error, backend: this.#engine.name },
            "cannot reach the store for the lease of a backend",
          );
        }
      }
      await this.#sleep(leaseMs / 3);
    }
  }

  /** Until woken, by somebody's giving back of the lease for example. */
  async #sleep(timeMs: number): Promise<void> {
    const { promise: woken } = this.#wake;
    const timeout = new AbortController();
    await Promise.race([woken, pause(timeMs, AbortSignal.any([timeout.signal, this.#closing.signal]))]);
    timeout.abort();
    this.#wake = Promise.withResolvers();
  }

  async #watchEngine(): Promise<void> {
    for await (const health of this.#engine.watchHealth(this.#closing.signal)) {
      if (isUsable(health)) {
        this.#pump();
      }
    }
  }

  /** Takes over what runs on the backend and is not known here, and stops what has to stop. */
  #reconcile(): void {
    this.#mayBeQueued = true;
    this.#take(async (lease) => {
      const knownBefore = new Set([...this.#runs.keys()].map(({ id }) => id));
      for (const record of await this.#deps.store.adopt(lease, this.#closing.signal)) {
        const known = [...this.#runs.keys()].findLast(({ id }) => id === record.id);
        if (known === undefined) {
          // A run that has ended meanwhile has left the job in another state than this.
          if (!this.#draining && !knownBefore.has(record.id)) {
            this.#adopt(record, lease);
          }
        } else if (record.state === "cancelling" && record.failure !== undefined) {
          known.obey(record.failure);
        }
      }
    });
    this.#pump();
  }

  #adopt(record: JobRecord, lease: Lease): void {
    if (record.attempt === undefined) {
      throw new Error(`job ${record.id} runs without an attempt`);
    }
    this.#deps.logger.info(
      { jobId: record.id, backend: lease.backend, attempt: record.attempt.number },
      "going on with a job",
    );
    this.#begin(new JobRun(record, record.attempt, lease, true, this.#runDependencies()));
  }

  /** Claims as many jobs as the backend has room for. */
  #pump(): void {
    if (this.#pumping) {
      this.#pumpAgain = true;
      return;
    }
    this.#pumping = true;
    this.#take(async (lease) => {
      try {
        do {
          this.#pumpAgain = false;
          await this.#claim(lease);
        } while (this.#pumpAgain && !this.#closing.signal.aborted);
      } finally {
        this.#pumping = false;
      }
    });
  }

  async #claim(lease: Lease): Promise<void> {
    const { store, clock } = this.#deps;
    const room = this.#room();
    const paused = clock.monotonicMs() < this.#pausedUntilMs;
    if (
      this.#draining ||
      !this.#mayBeQueued ||
      room <= 0 ||
      paused ||
      !this.#mayDrive(lease) ||
      !isUsable(this.#engine.health())
    ) {
      return;
    }
    this.#mayBeQueued = false; // what is queued from now on is heard of
    try {
      const claims = await store.claim(lease, room, randomUUID, this.#closing.signal);
      this.#mayBeQueued ||= claims.length === room;
      for (const claim of claims) {
        this.#start(claim, lease);
      }
    } catch (error) {
      this.#mayBeQueued = true; // nobody knows
      throw error;
    }
  }

  #start({ job, isRepeat, leftBehind }: Claim, lease: Lease): void {
    if (job.attempt === undefined) {
      throw new Error(`job ${job.id} was claimed without an attempt`);
    }
    this.#deps.abandon(leftBehind);
    this.#begin(new JobRun(job, job.attempt, lease, isRepeat, this.#runDependencies()));
  }

  #begin(run: JobRun): void {
    this.#atBackend.add(run);
    const ended = this.#run(run)
      .catch((fault: unknown) => this.#onFault(run, fault))
      .finally(() => {
        this.#runs.delete(run);
        this.#atBackend.delete(run);
        if (run.leaveSignal.aborted && run.fault === undefined && this.#held?.lease === run.lease) {
          this.#reconcile(); // a write was refused, as the job had to stop at that moment: it is still here
        }
        this.#pump();
      });
    this.#runs.set(run, ended);
  }

  async #run(run: JobRun): Promise<void> {
    try {
      await runAttempt(run, this.#deps, {
        maySubmit: () => this.#mayDrive(run.lease),
        onEngineFree: () => {
          this.#atBackend.delete(run);
          this.#pump();
        },
      });
    } catch (error) {
      if (run.fault !== undefined) {
        throw run.fault;
      }
      if (!run.leaveSignal.aborted && !isServiceError(error, "LEASE_LOST", "PROMPT_LEFT")) {
        await this.#settle(run, error);
      }
    }
    if (hasEnded(run.record)) {
      this.#refusals = 0;
      this.#policy.forget(run.id);
      this.#engine.forget(run.attempt.promptId); // only now: until the end is on disk, it is the one proof of the work
    }
  }

  /** Ends a job whose attempt did not succeed, or puts it back into the queue. */
  async #settle(run: JobRun, error: unknown): Promise<void> {
    const { logger, recorder } = this.#deps;
    if (run.failure !== undefined) {
      await run.write({
        type: "failed",
        state: endStateFor(run.failure, "cancelling"),
        failure: run.failure,
      });
      return;
    }
    const verdict = this.#policy.judge(run, error);
    if (verdict.type === "fail") {
      const failure = toJobFailure(verdict.error);
      if (failure.reason === "INTERNAL") {
        logger.error({ jobId: run.id, err: verdict.error }, "a job failed by a fault of the server");
      }
      await run.write({ type: "failed", state: endStateFor(failure, "running"), failure });
      if (isServiceError(error, "BACKEND_LOST")) {
        this.#engine.abandon(run.attempt.promptId); // it may still be there, for nobody
      }
      return;
    }
    logger.warn({ jobId: run.id, attempt: run.attempt.number, err: error }, "will run a job again");
    if (verdict.fate === "never") {
      this.#pauseOffers();
    }
    if (verdict.freeMemory) {
      await this.#engine.freeMemory(run.stopSignal).catch((freeError: unknown) => {
        logger.warn({ jobId: run.id, err: freeError }, "cannot free the memory of the backend");
      });
    }
    const attempt = verdict.fate === "never" ? run.attempt.number : run.attempt.number + 1;
    await recorder.write(run.id, run.lease, [{ type: "queued", jobsAhead: 0, attempt }], {
      attemptFate: verdict.fate,
      queueDeadline: new Date(this.#deps.clock.now().getTime() + this.#options.maxQueueMs),
    });
    this.#deps.announcer.queued();
  }

  /** A fault of ours: the job ends, and the others go on. */
  async #onFault(run: JobRun, fault: unknown): Promise<void> {
    const { logger } = this.#deps;
    if (isServiceError(fault, "LEASE_LOST")) {
      run.leave(); // also if it was to go back into the queue, and had to stop at that moment
      return;
    }
    logger.error({ jobId: run.id, err: fault }, "a job broke off");
    try {
      await run.write({ type: "failed", state: "failed", failure: toJobFailure(fault) });
      this.#engine.abandon(run.attempt.promptId);
    } catch (error) {
      logger.error({ jobId: run.id, err: error }, "cannot end a job that broke off");
    }
  }

  /** One after the other, with the lease; nothing if there is none. Outages of the store pass: it is done again. */
  #take(work: (lease: Lease) => Promise<void>): void {
    this.#taking = this.#taking.then(async () => {
      const lease = this.#held?.lease;
      if (lease === undefined || this.#closing.signal.aborted) {
        this.#pumping = false;
        return;
      }
      try {
        await work(lease);
      } catch (error) {
        if (!this.#closing.signal.aborted) {
          this.#deps.logger.warn(
            { err: error, backend: lease.backend },
            "cannot take jobs; trying again soon",
          );
        }
      }
    });
  }

  /** Whether the lease is surely ours now, by a clock that starts no later than that of the store. */
  #mayDrive(lease: Lease): boolean {
    return this.#held?.lease === lease && this.#deps.clock.monotonicMs() < this.#held.validUntilMs;
  }

  #room(): number {
    const delivering = this.#runs.size - this.#atBackend.size;
    return delivering < maxDelivering ? this.#options.maxInFlight - this.#atBackend.size : 0;
  }

  /** The backend is left alone for a while that grows each time it does not take a prompt. */
  #pauseOffers(): void {
    const pauseMs = Math.min(firstOfferPauseMs * 2 ** this.#refusals, longestOfferPauseMs);
    this.#refusals += 1;
    this.#pausedUntilMs = this.#deps.clock.monotonicMs() + pauseMs;
    clearTimeout(this.#pauseTimer);
    this.#pauseTimer = setTimeout(() => this.#pump(), pauseMs + 1);
  }

  /** Those that cannot write, as the store is out of order, end later: when the recorder gives up. */
  async #leaveAll(): Promise<void> {
    for (const run of this.#runs.keys()) {
      run.leave();
    }
    await within(leavePatienceMs, [...this.#runs.values()]);
  }

  #runDependencies() {
    const { recorder, bus, clock } = this.#deps;
    return { recorder, bus, now: () => clock.now() };
  }
}

/** Jobs whose images may be under way at once: a slow way from the backend must not pile them up here. */
const maxDelivering = 16;

const firstOfferPauseMs = 250;
const longestOfferPauseMs = 5_000;

/** How long disposing waits for jobs that are being cancelled. */
const cancelPatienceMs = 5_000;
/** How long is waited for jobs that are left. */
const leavePatienceMs = 2_000;
const releaseTimeoutMs = 2_000;
const leaseTimeoutMs = 5_000;

/** Waits until all have ended, but no longer than that. */
async function within(timeMs: number, ends: readonly Promise<void>[]): Promise<void> {
  const ended = new AbortController();
  await Promise.race([Promise.all(ends), pause(timeMs, ended.signal)]);
  ended.abort();
}
