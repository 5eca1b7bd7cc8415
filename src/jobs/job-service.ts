import { randomUUID } from "node:crypto";
import { isServiceError, ServiceError } from "../domain/errors.ts";
import type { GenerationSpec, ResolvedGeneration } from "../domain/generation.ts";
import { findModel, type GenerationLimits, resolveGeneration } from "../domain/resolve-generation.ts";
import { buildTextToImage } from "../domain/text-to-image.ts";
import type { Catalog } from "../engine/engine.ts";
import { Dispatcher, type DispatcherOptions } from "./dispatcher.ts";
import { Job } from "./job.ts";
import type { RunDependencies } from "./run-attempt.ts";

export interface JobServiceOptions extends DispatcherOptions {
  readonly limits: GenerationLimits;
  /** Checkpoint for specs that name none; empty: the first that the backend lists. */
  readonly defaultModel: string;
  /** Whether prompts may be written to the log. */
  readonly logPrompts: boolean;
  /** How old what is known of the backend's models may be, in milliseconds, before it is asked again. */
  readonly catalogMaxAgeMs: number;
}

export interface JobServiceDependencies extends RunDependencies {
  /** Draws a seed: 0 to 2^53-1. */
  readonly randomSeed: () => bigint;
}

/**
 * Everything that can be done with jobs. Disposing of it stops every job with `SHUTTING_DOWN`, on the backend too, and
 * waits until each has ended.
 */
export class JobService implements AsyncDisposable {
  readonly #options: JobServiceOptions;
  readonly #deps: JobServiceDependencies;
  readonly #dispatcher: Dispatcher;
  readonly #cleanups = new Set<Promise<void>>();

  constructor(options: JobServiceOptions, deps: JobServiceDependencies) {
    this.#options = options;
    this.#deps = deps;
    this.#dispatcher = new Dispatcher(options, deps);
  }

  /** Number of jobs that wait for a backend. */
  get queuedCount(): number {
    return this.#dispatcher.queuedCount;
  }

  /** Number of jobs that a backend has been given and that have not ended. */
  get runningCount(): number {
    return this.#dispatcher.runningCount;
  }

  /**
   * Makes a job of `spec` and puts it into the queue. The job lives as long as `owner`: when that is aborted, the job is
   * stopped with the reason that `owner` was aborted with, and once it has ended its images are removed.
   *
   * @param requestId under which the call is logged
   * @throws ServiceError what is wrong with the spec, or why no job is accepted now
   */
  async submit(spec: GenerationSpec, requestId: string, owner: AbortSignal): Promise<Job> {
    this.#dispatcher.assertAccepting();
    const generation = await this.#resolve(spec, owner);
    owner.throwIfAborted();
    const id = randomUUID();
    // Files of a directory slow down each save in it, so they are spread over 256 of them.
    const plan = buildTextToImage(generation, `comfyrpc/${id.slice(0, 2)}/${id}`);
    const job = new Job(id, generation, plan, this.#deps.clock);
    job.log.append({ type: "accepted", generation });
    this.#dispatcher.enqueue(job);
    void this.#logLife(job, requestId);
    owner.addEventListener("abort", () => this.#release(job, owner.reason), { once: true });
    return job;
  }

  /** Refuses new jobs from now on; those accepted go on. */
  close(): void {
    this.#dispatcher.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#dispatcher[Symbol.asyncDispose]();
    await Promise.all(this.#cleanups);
  }

  async #resolve(spec: GenerationSpec, signal: AbortSignal): Promise<ResolvedGeneration> {
    const { engine } = this.#deps;
    try {
      return await this.#resolveWith(
        spec,
        await engine.catalog(this.#options.catalogMaxAgeMs, signal),
        signal,
      );
    } catch (error) {
      if (!isServiceError(error, ...unknownNameReasons)) {
        throw error;
      }
      // The file may have been put there since the backend was asked last.
      return this.#resolveWith(spec, await engine.catalog(unknownNameMaxAgeMs, signal), signal);
    }
  }

  async #resolveWith(spec: GenerationSpec, names: Catalog, signal: AbortSignal): Promise<ResolvedGeneration> {
    const { limits, defaultModel } = this.#options;
    const model = findModel(spec, names, defaultModel);
    const needsSize = spec.widthPx === undefined || spec.heightPx === undefined;
    const nativeSize =
      needsSize && model !== undefined ? await this.#deps.engine.nativeSize(model, signal) : undefined;
    return resolveGeneration(spec, {
      names,
      limits,
      defaultModel,
      nativeSize,
      randomSeed: this.#deps.randomSeed,
    });
  }

  async #logLife(job: Job, requestId: string): Promise<void> {
    const { logger, clock } = this.#deps;
    const { prompt, negativePrompt, ...parameters } = job.generation;
    const texts = this.#options.logPrompts ? { prompt, negativePrompt } : {};
    const request = { jobId: job.id, requestId, ...parameters, seed: `${parameters.seed}`, ...texts };
    logger.debug(request, "job accepted");
    await job.ended;
    const facts = {
      ...request,
      state: job.state,
      ...(job.failure instanceof ServiceError && { reason: job.failure.reason }),
      attempts: job.attempts.length,
      totalMs: Math.round(clock.monotonicMs() - job.createdMs),
    };
    const failedByItself = job.state === "failed" && !job.stopSignal.aborted;
    if (failedByItself) {
      logger.warn({ ...facts, err: job.failure }, "job failed");
    } else {
      logger.info(facts, "job ended");
    }
  }

  #release(job: Job, why: unknown): void {
    if (!job.hasEnded) {
      job.stop(why);
    }
    const cleanup = this.#removeImages(job)
      .catch((error: unknown) =>
        this.#deps.logger.warn({ jobId: job.id, err: error }, "cannot remove the images of a job"),
      )
      .finally(() => this.#cleanups.delete(cleanup));
    this.#cleanups.add(cleanup);
  }

  async #removeImages(job: Job): Promise<void> {
    await job.ended;
    await Promise.all([...job.images.values()].map(({ blobId }) => this.#deps.blobs.remove(blobId)));
  }
}

/** Lets a flood of requests with a wrong name ask the backend no more than once a second. */
const unknownNameMaxAgeMs = 1_000;

const unknownNameReasons = [
  "MODEL_NOT_FOUND",
  "LORA_NOT_FOUND",
  "VAE_NOT_FOUND",
  "SAMPLER_NOT_FOUND",
  "SCHEDULER_NOT_FOUND",
] as const;
