import { createHash } from "node:crypto";
import { askBackends } from "../catalog/ask-backends.ts";
import { buildPicture } from "../domain/build/build-picture.ts";
import { buildUpscaleOnly } from "../domain/build/build-upscale.ts";
import { isServiceError } from "../domain/errors.ts";
import type {
  GenerationSpec,
  PictureTask,
  ResolvedGeneration,
  ResolvedPicture,
  ResolvedTask,
  ResolvedUpscaleTask,
  Task,
  UpscaleTask,
} from "../domain/generation.ts";
import type { GenerationPlan } from "../domain/generation-plan.ts";
import { hashGraph } from "../domain/graph-hash.ts";
import type { InputImage } from "../domain/input-image.ts";
import { modelNames } from "../domain/model-kind.ts";
import { Problems } from "../domain/resolve/problems.ts";
import type { GenerationLimits } from "../domain/resolve/resolve-inputs.ts";
import { type AiMarkPolicy, resolveOutput, resolvePreview } from "../domain/resolve/resolve-output.ts";
import { findCheckpoint, resolvePicture } from "../domain/resolve/resolve-picture.ts";
import { resolveUpscaleTask } from "../domain/resolve/resolve-upscale.ts";
import { type Catalog, type Engine, isUsable } from "../engine/engine.ts";
import { canonicalJson } from "../lib/canonical-json.ts";
import type { TemplateStore } from "../storage/template-store.ts";
import { type InputImages, withImages } from "./task-images.ts";
import { TemplateResolver } from "./template-resolver.ts";
import { WorkflowResolver, type WorkflowResolverOptions } from "./workflow-resolver.ts";

export interface SpecResolverOptions extends WorkflowResolverOptions {
  readonly limits: GenerationLimits;
  /** Checkpoint for specs that name none; empty: the first that the backends list. */
  readonly defaultModel: string;
  readonly aiMark: AiMarkPolicy;
}

export interface SpecResolverDependencies {
  readonly engines: readonly Engine[];
  readonly inputImages: InputImages;
  readonly templates: Pick<TemplateStore, "get">;
  /** Draws a seed: 0 to 2^53-1. */
  readonly randomSeed: () => bigint;
}

/** What a spec comes to: nothing is left open, and it can be given to a backend. */
export interface ResolvedSpec {
  readonly generation: ResolvedGeneration;
  readonly plan: GenerationPlan;
  /** Equal for jobs that give equal images. */
  readonly reuseKey: string;
}

/** Fills in what specs leave open, and checks them against what the backends have. */
export class SpecResolver {
  readonly #options: SpecResolverOptions;
  readonly #deps: SpecResolverDependencies;
  readonly #workflows: WorkflowResolver;
  readonly #templates: TemplateResolver;

  constructor(options: SpecResolverOptions, deps: SpecResolverDependencies) {
    this.#options = options;
    this.#deps = deps;
    this.#workflows = new WorkflowResolver(options, deps.engines);
    this.#templates = new TemplateResolver(options.catalogMaxAgeMs, { ...deps, workflows: this.#workflows });
  }

  /**
   * @param jobId of the job that it is for, by which ComfyUI names its files
   * @param tenant whose images the spec may name
   * @throws ServiceError what is wrong with the spec, with fields below `spec`; `NO_BACKEND` if nothing is known of any
   * backend
   */
  async resolve(
    { task, ...spec }: GenerationSpec,
    jobId: string,
    tenant: string,
    signal: AbortSignal,
  ): Promise<ResolvedSpec> {
    const { inputImages } = this.#deps;
    const looked = await withImages(task, (source, field) =>
      inputImages.resolve(source, field, tenant, signal),
    );
    // Files of a directory slow down each save in it, so they are spread over 256 of them.
    const filePrefix = `comfyrpc/${jobId.slice(0, 2)}/${jobId}`;
    const { task: resolved, plan } = await this.#planOf(looked, filePrefix, tenant, signal);
    const problems = new Problems();
    const { preview, output, detach, allowReuse } = spec;
    const generation: ResolvedGeneration = {
      task: resolved,
      ...(preview && { preview: resolvePreview(preview) }),
      output: resolveOutput(output, this.#options.aiMark, problems),
      detach,
      allowReuse,
    };
    problems.throwIfAny();
    return { generation, plan, reuseKey: reuseKeyOf(generation, plan) };
  }

  async #planOf(
    task: Task<InputImage>,
    filePrefix: string,
    tenant: string,
    signal: AbortSignal,
  ): Promise<PlannedTask> {
    switch (task.type) {
      case "workflow":
        return this.#workflows.resolve(task, filePrefix, workflowFields, signal);
      case "template":
        return this.#templates.resolve(task, filePrefix, tenant, signal);
      default: {
        const resolved = await this.#drawnTask(task, signal);
        return { task: resolved, plan: planOf(resolved, filePrefix) };
      }
    }
  }

  async #drawnTask(task: DrawingTask, signal: AbortSignal): Promise<DrawnTask> {
    const { catalogMaxAgeMs } = this.#options;
    try {
      return await this.#resolveWith(task, await this.#catalog(catalogMaxAgeMs, signal), signal);
    } catch (error) {
      if (!isServiceError(error, ...unknownNameReasons)) {
        throw error;
      }
      // The file may have been put there since the backends were asked last.
      return this.#resolveWith(task, await this.#catalog(unknownNameMaxAgeMs, signal), signal);
    }
  }

  /** What every backend has that can be used now, so that any of them can run the job; if none can, what all are known to have. */
  async #catalog(maxAgeMs: number, signal: AbortSignal): Promise<Catalog> {
    const answers = await askBackends(this.#deps.engines, (engine) => engine.catalog(maxAgeMs, signal));
    return answers.map(({ value }) => value).reduce(common);
  }

  async #resolveWith(task: DrawingTask, names: Catalog, signal: AbortSignal): Promise<DrawnTask> {
    const { limits, defaultModel } = this.#options;
    const problems = new Problems();
    const inputs = { names, limits, defaultModel, randomSeed: this.#deps.randomSeed };
    let resolved: DrawnTask;
    switch (task.type) {
      case "picture": {
        const nativeSize = await this.#nativeSizeFor(task, names, signal);
        resolved = resolvePicture(task, { ...inputs, nativeSize }, problems);
        break;
      }
      case "upscale":
        resolved = resolveUpscaleTask(task, inputs, problems);
        break;
    }
    problems.throwIfAny();
    return resolved;
  }

  /** Size that the model of a picture was made for, if it matters and the model's file says it. */
  async #nativeSizeFor(task: PictureTask<InputImage>, names: Catalog, signal: AbortSignal) {
    const sizeFollowsModel =
      task.start === undefined && (task.widthPx === undefined || task.heightPx === undefined);
    const model = findCheckpoint(task, names, this.#options.defaultModel);
    return sizeFollowsModel && task.modelFiles === undefined && model !== undefined
      ? await this.#nativeSize(model, signal)
      : undefined;
  }

  async #nativeSize(model: string, signal: AbortSignal) {
    const { engines } = this.#deps;
    const engine = engines.find((one) => isUsable(one.health())) ?? engines[0];
    return await engine?.nativeSize(model, signal);
  }
}

function common(a: Catalog, b: Catalog): Catalog {
  const both = (ofA: readonly string[], ofB: readonly string[]) => {
    const known = new Set(ofB);
    return ofA.filter((name) => known.has(name));
  };
  return {
    models: modelNames((kind) => both(a.models[kind], b.models[kind])),
    samplers: both(a.samplers, b.samplers),
    schedulers: both(a.schedulers, b.schedulers),
  };
}

const workflowFields = { workflow: "spec.workflow.json", images: "spec.workflow.images" };

interface PlannedTask {
  readonly task: ResolvedTask;
  readonly plan: GenerationPlan;
}

/** What a graph of ours does. */
type DrawingTask = PictureTask<InputImage> | UpscaleTask<InputImage>;

/** The same, with nothing left open. */
type DrawnTask = ResolvedPicture | ResolvedUpscaleTask;

function planOf(task: DrawnTask, filePrefix: string): GenerationPlan {
  switch (task.type) {
    case "picture":
      return buildPicture(task, filePrefix);
    case "upscale":
      return buildUpscaleOnly(task, filePrefix);
  }
}

function reuseKeyOf({ output }: ResolvedGeneration, { graph }: GenerationPlan): string {
  const { inlineLimitBytes: _, ...encoding } = output;
  return createHash("sha256")
    .update(`${hashGraph(graph)} ${canonicalJson({ ...encoding })}`)
    .digest("hex");
}

/** Lets a flood of requests with a wrong name ask a backend no more than once a second. */
const unknownNameMaxAgeMs = 1_000;

const unknownNameReasons = [
  "MODEL_NOT_FOUND",
  "LORA_NOT_FOUND",
  "VAE_NOT_FOUND",
  "SAMPLER_NOT_FOUND",
  "SCHEDULER_NOT_FOUND",
] as const;
