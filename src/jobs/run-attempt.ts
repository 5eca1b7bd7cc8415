import { ServiceError } from "../domain/errors.ts";
import type { WorkflowGraph } from "../domain/graph.ts";
import { hashGraph } from "../domain/graph-hash.ts";
import type { BackendInfo, GenerationResult, LastingEventData } from "../domain/job-event.ts";
import { type ProgressReading, RunProgress } from "../domain/progress.ts";
import type { Output, RunEvent } from "../engine/engine.ts";
import type { Clock } from "../lib/clock.ts";
import type { FetchDependencies } from "./fetch-output.ts";
import { inputFilesOf } from "./input-files.ts";
import type { JobRun } from "./job-run.ts";
import { type Collected, OutputCollector } from "./output-collector.ts";
import { PreviewPipe } from "./preview-pipe.ts";

export interface RunDependencies extends Omit<FetchDependencies, "now"> {
  readonly clock: Clock;
  /** Longest time that a job may run on a backend, in milliseconds. */
  readonly maxRunMs: number;
  /** Of this program. */
  readonly serviceVersion: string;
}

/** Told how far an attempt is. */
export interface AttemptHooks {
  /** Whether the prompt may be sent to the engine now. */
  maySubmit(): boolean;
  /** The engine is done with the prompt; its images are still to be fetched. */
  onEngineFree(): void;
}

/**
 * Runs one attempt of a job to its end: the graph on the engine, then what it leaves from there to the blob store. On
 * success the job has succeeded, and that is on disk.
 *
 * @throws what `Engine.run` and `Engine.openOutput` throw, with the titles of nodes; `LEASE_LOST` if the job is somebody
 * else's now
 */
export async function runAttempt(run: JobRun, deps: RunDependencies, hooks: AttemptHooks): Promise<void> {
  const attempt = new AttemptRun(run, deps, hooks);
  try {
    await attempt.toEnd();
  } catch (error) {
    throw error instanceof ServiceError ? withTitles(error, run.record.plan.graph) : error;
  }
}

class AttemptRun {
  readonly #run: JobRun;
  readonly #deps: RunDependencies;
  readonly #hooks: AttemptHooks;
  readonly #signal: AbortSignal;
  readonly #submitted: Date;
  readonly #collector: OutputCollector;
  readonly #previews: PreviewPipe | undefined;
  #timer: NodeJS.Timeout | undefined;
  #progress: RunProgress | undefined;
  #lastStep = 0;

  constructor(run: JobRun, deps: RunDependencies, hooks: AttemptHooks) {
    this.#run = run;
    this.#deps = deps;
    this.#hooks = hooks;
    this.#signal = AbortSignal.any([run.stopSignal, run.leaveSignal]);
    this.#submitted = deps.clock.now();
    this.#collector = new OutputCollector(run, { ...deps, now: () => deps.clock.now() }, this.#signal);
    const { preview } = run.record.generation;
    this.#previews = preview && this.#openPreviews(preview);
  }

  async toEnd(): Promise<void> {
    const run = this.#run;
    const { plan, tenant } = run.record;
    if (!run.resumes) {
      this.#limitTime();
    }
    try {
      const request = {
        promptId: run.attempt.promptId,
        graph: plan.graph,
        inputs: run.resumes ? [] : await inputFilesOf(plan.inputs, tenant, this.#deps, this.#signal),
        previews: this.#previews !== undefined,
        resume: run.resumes,
        maySubmit: () => this.#hooks.maySubmit(),
      };
      const signals = { cancel: run.stopSignal, leave: run.leaveSignal };
      for await (const event of this.#deps.engine.run(request, signals)) {
        if (event.type === "finished") {
          clearTimeout(this.#timer); // the work is done: an outage of the stores must not cost it
          this.#hooks.onEngineFree();
          await this.#deliver(event.outputs, this.#deps.clock.now());
        } else {
          this.#report(event);
        }
      }
    } finally {
      clearTimeout(this.#timer);
      await this.#collector.settle(); // so that nothing is stored after the job has ended
    }
  }

  /** Tells the readers of the job what the engine reported. */
  #report(event: Exclude<RunEvent, { type: "finished" }>): void {
    const nowMs = this.#deps.clock.monotonicMs();
    const { images } = this.#run.record.plan;
    switch (event.type) {
      case "submitted":
        if (this.#run.resumes) {
          this.#limitTime();
        }
        break;
      case "started":
        this.#start(event.cachedNodeIds, nowMs);
        break;
      case "nodeStarted": {
        const node = this.#progress?.nodeStarted(event.nodeId, nowMs);
        this.#lastStep = 0;
        if (node !== undefined) {
          const { classType, title } = node;
          this.#write({ type: "nodeStarted", nodeId: event.nodeId, classType, title });
        }
        break;
      }
      case "nodeFinished":
        this.#tellProgress(event.nodeId, this.#progress?.nodeFinished(event.nodeId, nowMs));
        break;
      case "progress":
        this.#tellProgress(
          event.nodeId,
          this.#progress?.nodeProgress(event.nodeId, event.value, event.max, nowMs),
        );
        break;
      case "preview": {
        const imageIndex = images.findIndex(({ samplerNodeIds }) => samplerNodeIds.includes(event.nodeId));
        this.#previews?.push({
          nodeId: event.nodeId,
          imageIndex: Math.max(0, imageIndex),
          step: this.#lastStep,
          data: event.data,
        });
        break;
      }
      case "output":
        this.#collector.offer(event.output);
        break;
    }
  }

  #start(cachedNodeIds: readonly string[], nowMs: number): void {
    const { plan, startTime } = this.#run.record;
    this.#progress = new RunProgress(plan.graph, cachedNodeIds, nowMs);
    if (startTime !== undefined) {
      return; // whoever ran it before has told that
    }
    this.#stopAt(this.#latestEnd(this.#deps.clock.now()), this.#ranTooLong());
    this.#write({
      type: "started",
      backend: this.#backend(),
      attempt: this.#run.attempt.number,
      nodeCount: Object.keys(plan.graph).length,
      cachedNodeCount: this.#progress.cachedNodeCount,
    });
  }

  #tellProgress(nodeId: string, reading: ProgressReading | undefined): void {
    if (reading !== undefined) {
      this.#lastStep = reading.step;
      this.#run.pass({ type: "progress", nodeId, ...reading });
    }
  }

  /** Not waited for: the order is kept, and a failure leaves the run, which ends it. */
  #write(event: LastingEventData): void {
    this.#run.write(event).catch(() => {}); // the run has been left by that
  }

  async #deliver(outputs: readonly Output[], finished: Date): Promise<void> {
    const collected = await this.#collector.collect(outputs);
    this.#signal.throwIfAborted();
    await this.#run.write({ type: "completed", result: this.#result(collected, finished) });
  }

  #result({ images, outputs }: Collected, finishTime: Date): GenerationResult {
    const { generation, plan, createTime, startTime } = this.#run.record;
    // These times come from several clocks, and that of the start is when it was written: none is before the one before it.
    const ended = later(createTime, this.#deps.clock.now());
    const finished = earlier(later(createTime, finishTime), ended);
    const started = earlier(later(createTime, startTime ?? finished), finished); // not seen where events were missing
    // A run that was taken over was given to the backend by somebody else, at a time that only its start tells.
    const submitted = earlier(later(createTime, this.#submitted), started);
    return {
      images,
      outputs,
      generation,
      graphSha256: hashGraph(plan.graph),
      backend: this.#backend(),
      attemptCount: this.#run.attempt.number,
      createTime,
      endTime: ended,
      timings: {
        queueMs: msBetween(createTime, submitted),
        backendQueueMs: msBetween(submitted, started),
        executionMs: msBetween(started, finished),
        deliveryMs: msBetween(finished, ended),
        totalMs: msBetween(createTime, ended),
      },
      nodes: this.#progress?.nodeTimings() ?? [],
      serviceVersion: this.#deps.serviceVersion,
    };
  }

  #backend(): BackendInfo {
    const { engine } = this.#deps;
    const { version, builtIn } = engine.health();
    return { name: engine.name, comfyUiVersion: version, builtIn };
  }

  /** Has the job stop when its time is up. A prompt that is gone on with may have ended in time, unseen: first a look. */
  #limitTime(): void {
    const { startTime, queueDeadline } = this.#run.record;
    const limit = startTime === undefined ? queueDeadline : this.#latestEnd(startTime);
    const looked = new Date(this.#deps.clock.now().getTime() + lookMs);
    this.#stopAt(
      this.#run.resumes ? later(limit, looked) : limit,
      startTime === undefined ? waitedTooLong() : this.#ranTooLong(),
    );
  }

  /** From now on this is when, and why, the job has to stop. */
  #stopAt(time: Date, why: ServiceError): void {
    clearTimeout(this.#timer);
    const leftMs = Math.max(0, msBetween(this.#deps.clock.now(), time));
    this.#timer = setTimeout(() => this.#run.stop(why), Math.min(leftMs, longestTimerMs));
  }

  #latestEnd(start: Date): Date {
    return new Date(start.getTime() + this.#deps.maxRunMs);
  }

  #ranTooLong(): ServiceError {
    return new ServiceError(
      "JOB_TIMEOUT",
      `the job ran for more than ${this.#deps.maxRunMs / 1000} s, which this server does not allow; ask for fewer steps or images`,
    );
  }

  #openPreviews(wanted: { maxSidePx: number; format: "jpeg" | "webp" }): PreviewPipe {
    const { codec, logger } = this.#deps;
    return new PreviewPipe({
      codec,
      logger,
      ...wanted,
      deliver: ({ nodeId, imageIndex, step }, image) =>
        this.#run.pass({ type: "preview", nodeId, imageIndex, step, ...image }),
    });
  }
}

/** How long it may take to find out how a prompt ended that the backend has. */
const lookMs = 30_000;

/** Node's timers go no further; more than the settings allow. */
const longestTimerMs = 2 ** 31 - 1;

/** Why a job ends that no backend began to run in time. */
export function waitedTooLong(): ServiceError {
  return new ServiceError(
    "JOB_TIMEOUT",
    "the job waited for longer to be run than this server allows; try again later",
  );
}

/** Adds to each node of the failure the title that it has in the graph. */
function withTitles(error: ServiceError, graph: WorkflowGraph): ServiceError {
  const { nodes } = error.details;
  return nodes === undefined
    ? error
    : error.with({
        nodes: nodes.map((node) => {
          const title = graph[node.nodeId]?._meta?.title;
          return title === undefined ? node : { ...node, title };
        }),
      });
}

function msBetween(from: Date, to: Date): number {
  return to.getTime() - from.getTime();
}

function earlier(a: Date, b: Date): Date {
  return a < b ? a : b;
}

function later(a: Date, b: Date): Date {
  return a < b ? b : a;
}
