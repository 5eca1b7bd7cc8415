import { ServiceError } from "../domain/errors.ts";
import type { WorkflowGraph } from "../domain/graph.ts";
import { hashGraph } from "../domain/graph-hash.ts";
import type { ImageInfo } from "../domain/image.ts";
import type { BackendInfo } from "../domain/job-event.ts";
import { type ProgressReading, RunProgress } from "../domain/progress.ts";
import type { Engine, Output, RunEvent } from "../engine/engine.ts";
import type { ImageCodec } from "../imaging/image-codec.ts";
import type { Clock } from "../lib/clock.ts";
import type { BlobStore } from "../storage/blob-store.ts";
import type { Logger } from "../telemetry/logger.ts";
import { fetchImage, fileOf } from "./fetch-images.ts";
import type { Attempt, Job } from "./job.ts";
import { PreviewPipe } from "./preview-pipe.ts";

export interface RunDependencies {
  readonly engine: Engine;
  readonly blobs: BlobStore;
  readonly codec: ImageCodec;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Longest time that a job may run on a backend, in milliseconds. */
  readonly maxRunMs: number;
}

/** Told how far an attempt is. */
export interface AttemptHooks {
  /** The engine has begun to run the graph. */
  onStarted(): void;
  /** The engine is done with the prompt; its images are still to be fetched. */
  onEngineFree(): void;
}

/**
 * Runs one attempt of `job` to its end: the graph on the engine, then the images from there to the blob store. On
 * success the job has succeeded; stopping the job cancels the prompt on the engine first.
 *
 * @throws what `Engine.run` and `Engine.openOutput` throw, with the titles of nodes
 */
export async function runAttempt(
  job: Job,
  attempt: Attempt,
  deps: RunDependencies,
  hooks: AttemptHooks,
): Promise<void> {
  const run = new AttemptRun(job, attempt, deps, hooks);
  try {
    await run.toEnd();
  } catch (error) {
    throw error instanceof ServiceError ? withTitles(error, job.plan.graph) : error;
  }
}

class AttemptRun {
  readonly #job: Job;
  readonly #attempt: Attempt;
  readonly #deps: RunDependencies;
  readonly #hooks: AttemptHooks;
  readonly #submittedMs: number;
  readonly #images = new Map<number, Promise<ImageInfo>>();
  readonly #previews: PreviewPipe | undefined;
  #progress: RunProgress | undefined;
  #startedMs: number | undefined;
  #lastStep = 0;

  constructor(job: Job, attempt: Attempt, deps: RunDependencies, hooks: AttemptHooks) {
    this.#job = job;
    this.#attempt = attempt;
    this.#deps = deps;
    this.#hooks = hooks;
    this.#submittedMs = deps.clock.monotonicMs();
    this.#previews = job.generation.preview && this.#openPreviews(job.generation.preview);
  }

  async toEnd(): Promise<void> {
    const { engine, clock, maxRunMs } = this.#deps;
    const request = {
      promptId: this.#attempt.promptId,
      graph: this.#job.plan.graph,
      previews: this.#previews !== undefined,
    };
    let timer: NodeJS.Timeout | undefined;
    try {
      for await (const event of engine.run(request, this.#job.stopSignal)) {
        if (event.type === "started") {
          timer = setTimeout(() => this.#job.stop(ranTooLong(maxRunMs)), maxRunMs);
        }
        if (event.type === "finished") {
          this.#hooks.onEngineFree();
          await this.#deliver(event.outputs, clock.monotonicMs());
        } else {
          this.#report(event);
        }
      }
    } finally {
      clearTimeout(timer);
      await Promise.allSettled(this.#images.values()); // so that no image is stored after the job has ended
    }
  }

  /** Tells the readers of the job what the engine reported. */
  #report(event: Exclude<RunEvent, { type: "finished" }>): void {
    const nowMs = this.#deps.clock.monotonicMs();
    const { log, plan } = this.#job;
    switch (event.type) {
      case "submitted":
        break;
      case "started":
        this.#start(event.cachedNodeIds, nowMs);
        break;
      case "nodeStarted": {
        const node = this.#progress?.nodeStarted(event.nodeId, nowMs);
        this.#lastStep = 0;
        if (node !== undefined) {
          log.append({
            type: "nodeStarted",
            nodeId: event.nodeId,
            classType: node.classType,
            title: node.title,
          });
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
        const imageIndex = plan.images.findIndex(({ samplerNodeId }) => samplerNodeId === event.nodeId);
        this.#previews?.push({
          nodeId: event.nodeId,
          imageIndex: Math.max(0, imageIndex),
          step: this.#lastStep,
          data: event.data,
        });
        break;
      }
      case "output":
        this.#fetchAnyOf([event.output]);
        break;
    }
  }

  #start(cachedNodeIds: readonly string[], nowMs: number): void {
    this.#startedMs = nowMs;
    this.#hooks.onStarted();
    this.#progress = new RunProgress(this.#job.plan.graph, cachedNodeIds, nowMs);
    this.#job.log.append({
      type: "started",
      backend: this.#backend(),
      attempt: this.#attempt.number,
      nodeCount: Object.keys(this.#job.plan.graph).length,
      cachedNodeCount: this.#progress.cachedNodeCount,
    });
  }

  #tellProgress(nodeId: string, reading: ProgressReading | undefined): void {
    if (reading !== undefined) {
      this.#lastStep = reading.step;
      this.#job.log.append({ type: "progress", nodeId, ...reading });
    }
  }

  /** Starts fetching the images that are among `outputs` and have not been fetched, by an earlier attempt either. */
  #fetchAnyOf(outputs: readonly Output[]): void {
    for (const [index, image] of this.#job.plan.images.entries()) {
      const file = fileOf(image, outputs);
      if (file === undefined || this.#images.has(index) || this.#job.images.has(index)) {
        continue;
      }
      const { output } = this.#job.generation;
      const fetched = fetchImage(this.#deps, { index, image, file, output }, this.#job.stopSignal).then(
        (info) => {
          this.#job.addImage(info);
          return info;
        },
      );
      fetched.catch(() => {}); // awaited in #deliver; until then its failure must not count as unhandled
      this.#images.set(index, fetched);
    }
  }

  async #deliver(outputs: readonly Output[], finishedMs: number): Promise<void> {
    this.#fetchAnyOf(outputs);
    await Promise.all(this.#images.values());
    const { job, clock } = { job: this.#job, clock: this.#deps.clock };
    const images = job.plan.images.map((_, index) => job.images.get(index));
    if (!images.every((image) => image !== undefined)) {
      throw new ServiceError(
        "NO_OUTPUT",
        "the workflow ended well but left fewer images than were asked for",
      );
    }
    job.stopSignal.throwIfAborted();
    const endMs = clock.monotonicMs();
    const startedMs = this.#startedMs ?? finishedMs; // not seen to start where events were missing
    job.succeed({
      images,
      generation: job.generation,
      graphSha256: hashGraph(job.plan.graph),
      backend: this.#backend(),
      attemptCount: job.attempts.length,
      createTime: job.createTime,
      endTime: clock.now(),
      timings: {
        queueMs: this.#submittedMs - job.createdMs,
        backendQueueMs: startedMs - this.#submittedMs,
        executionMs: finishedMs - startedMs,
        deliveryMs: endMs - finishedMs,
        totalMs: endMs - job.createdMs,
      },
      nodes: this.#progress?.nodeTimings() ?? [],
    });
  }

  #backend(): BackendInfo {
    const { engine } = this.#deps;
    const { version, builtIn } = engine.health();
    return { name: engine.name, comfyUiVersion: version, builtIn };
  }

  #openPreviews(wanted: { maxSidePx: number; format: "jpeg" | "webp" }): PreviewPipe {
    const { codec, logger } = this.#deps;
    return new PreviewPipe({
      codec,
      logger,
      ...wanted,
      deliver: ({ nodeId, imageIndex, step }, image) =>
        this.#job.log.append({ type: "preview", nodeId, imageIndex, step, ...image }),
    });
  }
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

function ranTooLong(maxRunMs: number): ServiceError {
  return new ServiceError(
    "JOB_TIMEOUT",
    `the job ran for more than ${maxRunMs / 1000} s, which this server does not allow; ask for fewer steps or images`,
  );
}
