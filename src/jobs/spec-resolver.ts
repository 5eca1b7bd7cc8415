import { createHash } from "node:crypto";
import { askBackends, type BackendAnswer } from "../catalog/ask-backends.ts";
import { buildPicture } from "../domain/build/build-picture.ts";
import { buildUpscaleOnly } from "../domain/build/build-upscale.ts";
import { type ErrorReason, isServiceError, ServiceError } from "../domain/errors.ts";
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
import type { WorkflowGraph } from "../domain/graph.ts";
import { hashGraph } from "../domain/graph-hash.ts";
import type { ImageSource, InputImage } from "../domain/input-image.ts";
import { modelNames } from "../domain/model-kind.ts";
import { Problems } from "../domain/resolve/problems.ts";
import type { GenerationLimits } from "../domain/resolve/resolve-inputs.ts";
import { type AiMarkPolicy, resolveOutput, resolvePreview } from "../domain/resolve/resolve-output.ts";
import { findCheckpoint, resolvePicture } from "../domain/resolve/resolve-picture.ts";
import { resolveUpscaleTask } from "../domain/resolve/resolve-upscale.ts";
import { checkGraph } from "../domain/workflow/check-graph.ts";
import type { GraphProblem } from "../domain/workflow/graph-problem.ts";
import { type Catalog, type Engine, isUsable } from "../engine/engine.ts";
import { canonicalJson } from "../lib/canonical-json.ts";
import type { TemplateStore } from "../storage/template-store.ts";
import { type InputImages, lookingOnce, withImages } from "./task-images.ts";
import { TemplateResolver, templateFields } from "./template-resolver.ts";
import {
  type ExaminedWorkflow,
  errorOfWorkflow,
  type WorkflowFields,
  WorkflowResolver,
  type WorkflowResolverOptions,
} from "./workflow-resolver.ts";

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

/** What can be known of a spec without running it. */
export interface ExaminedSpec {
  /** Absent if anything is wrong with it. */
  readonly resolved?: ResolvedSpec;
  /** What `resolve` fails with. */
  readonly error?: ServiceError;
  /** The graph that would run; of a workflow that is wrong, what could be read of it. */
  readonly graph?: WorkflowGraph;
  /** What is wrong with a workflow for any backend. */
  readonly problems: readonly GraphProblem[];
  /** What each backend says that was asked, in the order of the configuration. */
  readonly backends: readonly BackendAnswer<BackendFindings>[];
}

/** What is wrong with a spec for one backend. */
export interface BackendFindings {
  /** What `resolve` would fail with if there were only this backend, of a task that it makes a graph of. */
  readonly error?: ServiceError;
  /** What is wrong with the graph. */
  readonly problems: readonly GraphProblem[];
}

/** What a spec says beside its task. */
type SpecRest = Omit<GenerationSpec, "task">;

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

  /** The same for the specs of one call, which looks at each of their images once. */
  forCall(): SpecResolver {
    return new SpecResolver(this.#options, {
      ...this.#deps,
      inputImages: lookingOnce(this.#deps.inputImages),
    });
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
    const looked = await this.#look(task, tenant, signal);
    return this.#complete(await this.#planOf(looked, filePrefixOf(jobId), tenant, signal), spec);
  }

  /**
   * Finds everything about a spec that can be known without running it. A spec that is wrong is no failure.
   *
   * @param jobId as for {@link resolve}
   * @throws ServiceError `NO_BACKEND` if nothing is known of any backend; what has nothing to do with the spec
   */
  async examine(
    { task, ...spec }: GenerationSpec,
    jobId: string,
    tenant: string,
    signal: AbortSignal,
  ): Promise<ExaminedSpec> {
    const looked = await faultOf(this.#look(task, tenant, signal));
    if ("error" in looked) {
      return { error: looked.error, problems: [], backends: [] };
    }
    const { value } = looked;
    const filePrefix = filePrefixOf(jobId);
    switch (value.type) {
      case "workflow": {
        const examined = this.#workflows.examine(value, filePrefix, workflowFields, signal);
        return this.#examinedOf(examined, workflowFields, spec);
      }
      case "template": {
        const prepared = await faultOf(this.#templates.prepare(value, tenant, signal));
        if ("error" in prepared) {
          return { error: prepared.error, problems: [], backends: [] };
        }
        const { task: settled, workflow, inputs } = prepared.value;
        const examined = this.#workflows.examine(workflow, filePrefix, templateFields, signal);
        return this.#examinedOf(examined, templateFields, spec, (plan) => ({
          task: settled,
          plan: { ...plan, inputs },
        }));
      }
      default:
        return this.#examineDrawing(value, spec, filePrefix, signal);
    }
  }

  /** @param asPlanned makes of the plan of a workflow what the task is planned as; default: the workflow itself */
  async #examinedOf(
    examining: Promise<ExaminedWorkflow>,
    fields: WorkflowFields,
    spec: SpecRest,
    asPlanned?: (plan: GenerationPlan) => PlannedTask,
  ): Promise<ExaminedSpec> {
    const outcome = await faultOf(examining);
    if ("error" in outcome) {
      return { error: outcome.error, problems: [], backends: [] };
    }
    const { value: examined } = outcome;
    const completed = await faultOf(async () => this.#complete(asPlanned?.(examined.plan) ?? examined, spec));
    const error = errorOfWorkflow(examined, fields) ?? ("error" in completed ? completed.error : undefined);
    return {
      ...(error && { error }),
      ...(error === undefined && "value" in completed && { resolved: completed.value }),
      graph: examined.plan.graph,
      problems: examined.problems,
      backends: examined.backends.map(({ backend, value }) => ({ backend, value: { problems: value } })),
    };
  }

  async #examineDrawing(
    task: DrawingTask,
    spec: SpecRest,
    filePrefix: string,
    signal: AbortSignal,
  ): Promise<ExaminedSpec> {
    const { catalogMaxAgeMs } = this.#options;
    const planned = await faultOf(async () => {
      const drawn = await this.#drawnTask(task, this.#deps.engines, signal);
      return this.#complete({ task: drawn, plan: planOf(drawn, filePrefix) }, spec);
    });
    const graph = "value" in planned ? planned.value.plan.graph : undefined;
    const backends = await askBackends(this.#deps.engines, async (engine) => {
      const own = await faultOf(this.#drawnTask(task, [engine], signal));
      const classes = await engine.nodeClasses(catalogMaxAgeMs, signal);
      return {
        ...("error" in own && { error: own.error }),
        problems: graph === undefined ? [] : checkGraph(graph, classes),
      };
    });
    return {
      ...("error" in planned ? { error: planned.error } : { resolved: planned.value }),
      ...(graph && { graph }),
      problems: [],
      backends,
    };
  }

  #look(task: Task<ImageSource>, tenant: string, signal: AbortSignal): Promise<Task<InputImage>> {
    const { inputImages } = this.#deps;
    return withImages(task, (source, field) => inputImages.resolve(source, field, tenant, signal));
  }

  /** @throws ServiceError what is wrong with the rest of the spec */
  #complete({ task, plan }: PlannedTask, { preview, output, detach, allowReuse }: SpecRest): ResolvedSpec {
    const problems = new Problems();
    const generation: ResolvedGeneration = {
      task,
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
        const resolved = await this.#drawnTask(task, this.#deps.engines, signal);
        return { task: resolved, plan: planOf(resolved, filePrefix) };
      }
    }
  }

  async #drawnTask(task: DrawingTask, engines: readonly Engine[], signal: AbortSignal): Promise<DrawnTask> {
    const { catalogMaxAgeMs } = this.#options;
    try {
      return await this.#resolveWith(task, await catalogOf(engines, catalogMaxAgeMs, signal), signal);
    } catch (error) {
      if (!isServiceError(error, ...unknownNameReasons)) {
        throw error;
      }
      // The file may have been put there since the backends were asked last.
      return this.#resolveWith(task, await catalogOf(engines, unknownNameMaxAgeMs, signal), signal);
    }
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

/** What every backend has that can be used now, so that any of them can run the job; if none can, what all are known to have. */
async function catalogOf(
  engines: readonly Engine[],
  maxAgeMs: number,
  signal: AbortSignal,
): Promise<Catalog> {
  const answers = await askBackends(engines, (engine) => engine.catalog(maxAgeMs, signal));
  return answers.map(({ value }) => value).reduce(common);
}

/** What the names of the files of a job begin with. Files of a directory slow down each save in it, so they are spread over 256. */
function filePrefixOf(jobId: string): string {
  return `comfyrpc/${jobId.slice(0, 2)}/${jobId}`;
}

/**
 * What `work` comes to, or what it says is wrong with the spec.
 *
 * @throws what `work` fails with for any other reason
 */
async function faultOf<T>(
  work: Promise<T> | (() => Promise<T>),
): Promise<{ readonly value: T } | { readonly error: ServiceError }> {
  try {
    return { value: await (typeof work === "function" ? work() : work) };
  } catch (error) {
    if (error instanceof ServiceError && !circumstances.has(error.reason)) {
      return { error };
    }
    throw error;
  }
}

/** Reasons that have nothing to do with what a spec says. */
const circumstances: ReadonlySet<ErrorReason> = new Set([
  "NO_BACKEND",
  "BACKEND_LOST",
  "BACKEND_PROTOCOL",
  "STORE_UNAVAILABLE",
  "SHUTTING_DOWN",
  "CANCELLED_BY_CALLER",
  "INTERNAL",
]);

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

/** Where errors about a workflow are put. */
export const workflowFields = { workflow: "spec.workflow.json", images: "spec.workflow.images" };

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
