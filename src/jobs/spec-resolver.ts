import { createHash } from "node:crypto";
import { askBackends } from "../catalog/ask-backends.ts";
import { isServiceError } from "../domain/errors.ts";
import type { GenerationSpec, ResolvedGeneration } from "../domain/generation.ts";
import type { GenerationPlan } from "../domain/generation-plan.ts";
import { hashGraph } from "../domain/graph-hash.ts";
import { modelNames } from "../domain/model-kind.ts";
import { findModel, type GenerationLimits, resolveGeneration } from "../domain/resolve-generation.ts";
import { buildTextToImage } from "../domain/text-to-image.ts";
import { type Catalog, type Engine, isUsable } from "../engine/engine.ts";

export interface SpecResolverOptions {
  readonly limits: GenerationLimits;
  /** Checkpoint for specs that name none; empty: the first that the backends list. */
  readonly defaultModel: string;
  /** How old what is known of the backends' models may be, in milliseconds, before they are asked again. */
  readonly catalogMaxAgeMs: number;
}

export interface SpecResolverDependencies {
  readonly engines: readonly Engine[];
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

  constructor(options: SpecResolverOptions, deps: SpecResolverDependencies) {
    this.#options = options;
    this.#deps = deps;
  }

  /**
   * @param jobId of the job that it is for, by which ComfyUI names its files
   * @throws ServiceError what is wrong with the spec, with fields below `spec`; `NO_BACKEND` if nothing is known of any
   * backend
   */
  async resolve(spec: GenerationSpec, jobId: string, signal: AbortSignal): Promise<ResolvedSpec> {
    const generation = await this.#generationOf(spec, signal);
    // Files of a directory slow down each save in it, so they are spread over 256 of them.
    const plan = buildTextToImage(generation, `comfyrpc/${jobId.slice(0, 2)}/${jobId}`);
    return { generation, plan, reuseKey: reuseKeyOf(generation, plan) };
  }

  async #generationOf(spec: GenerationSpec, signal: AbortSignal): Promise<ResolvedGeneration> {
    const { catalogMaxAgeMs } = this.#options;
    try {
      return await this.#resolveWith(spec, await this.#catalog(catalogMaxAgeMs, signal), signal);
    } catch (error) {
      if (!isServiceError(error, ...unknownNameReasons)) {
        throw error;
      }
      // The file may have been put there since the backends were asked last.
      return this.#resolveWith(spec, await this.#catalog(unknownNameMaxAgeMs, signal), signal);
    }
  }

  /** What every backend has that can be used now, so that any of them can run the job; if none can, what all are known to have. */
  async #catalog(maxAgeMs: number, signal: AbortSignal): Promise<Catalog> {
    const answers = await askBackends(this.#deps.engines, (engine) => engine.catalog(maxAgeMs, signal));
    return answers.map(({ value }) => value).reduce(common);
  }

  async #resolveWith(spec: GenerationSpec, names: Catalog, signal: AbortSignal): Promise<ResolvedGeneration> {
    const { limits, defaultModel } = this.#options;
    const model = findModel(spec, names, defaultModel);
    const needsSize = spec.widthPx === undefined || spec.heightPx === undefined;
    const nativeSize = needsSize && model !== undefined ? await this.#nativeSize(model, signal) : undefined;
    return resolveGeneration(spec, {
      names,
      limits,
      defaultModel,
      nativeSize,
      randomSeed: this.#deps.randomSeed,
    });
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

function reuseKeyOf({ output }: ResolvedGeneration, { graph }: GenerationPlan): string {
  const encoding = { format: output.format, quality: output.quality, stripMetadata: output.stripMetadata };
  return createHash("sha256")
    .update(`${hashGraph(graph)} ${JSON.stringify(encoding)}`)
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
