import { nearestNames } from "../lib/nearest-names.ts";
import { type ErrorReason, type FieldViolation, ServiceError } from "./errors.ts";
import type {
  GenerationSpec,
  LoraSpec,
  OutputSpec,
  ResolvedGeneration,
  ResolvedOutput,
} from "./generation.ts";
import { defaultQuality } from "./image.ts";
import type { ModelNames } from "./model-kind.ts";

/** Names that a backend knows, as far as resolving a generation needs them. */
export interface KnownNames {
  readonly models: ModelNames;
  readonly samplers: readonly string[];
  readonly schedulers: readonly string[];
}

export interface PixelSize {
  readonly widthPx: number;
  readonly heightPx: number;
}

/** What the operator of the service allows; never wider than the schema. */
export interface GenerationLimits {
  /** Largest picture, width times height, in pixels. */
  readonly maxPixels: number;
  readonly maxSteps: number;
  readonly maxImageCount: number;
}

/** What {@link resolveGeneration} needs beside the spec. */
export interface ResolveInputs {
  readonly names: KnownNames;
  readonly limits: GenerationLimits;
  /** Checkpoint for specs that name none; empty: the first that the backend lists. */
  readonly defaultModel: string;
  /** Size the checkpoint was made for, in pixels, if known. */
  readonly nativeSize: PixelSize | undefined;
  /** Draws a seed for specs without one: 0 to 2^53-1. */
  readonly randomSeed: () => bigint;
}

/** What `inline_limit_bytes` is if not given: 3.5 MiB, under the 4 MiB that gRPC clients accept unconfigured. */
export const defaultInlineLimitBytes = 3_670_016;

const fallbackSidePx = 512;
/** Bounds of a side in the schema. */
const [minSidePx, maxSidePx] = [64, 2_048];

/** Names by which other tools know ComfyUI's samplers. */
const samplerAliases: Readonly<Record<string, string>> = {
  euler_a: "euler_ancestral",
  dpm_2_a: "dpm_2_ancestral",
  dpm_plus_plus_2m: "dpmpp_2m",
  dpm_plus_plus_2s_a: "dpmpp_2s_ancestral",
  dpm_plus_plus_sde: "dpmpp_sde",
  dpmpp_2s_a: "dpmpp_2s_ancestral",
};

/** The checkpoint that `spec` means, in the backend's spelling; `undefined` if the backend does not have it. */
export function findModel(spec: GenerationSpec, names: KnownNames, defaultModel: string): string | undefined {
  return findListed(wantedModel(spec, names, defaultModel), names.models.checkpoint);
}

function wantedModel(spec: GenerationSpec, names: KnownNames, defaultModel: string): string {
  return spec.model || defaultModel || (names.models.checkpoint[0] ?? "");
}

/**
 * Fills in what `spec` leaves open and checks what the schema cannot: names against the backend, and the operator's
 * limits.
 *
 * @throws ServiceError with every problem as a violation, under the reason of the first one
 */
export function resolveGeneration(spec: GenerationSpec, inputs: ResolveInputs): ResolvedGeneration {
  const { names, limits } = inputs;
  const problems = new Problems();
  const model = problems.known(
    "MODEL_NOT_FOUND",
    "checkpoint",
    "spec.model",
    wantedModel(spec, names, inputs.defaultModel),
    names.models.checkpoint,
    spec.model === "",
  );
  const sampler = problems.known(
    "SAMPLER_NOT_FOUND",
    "sampler",
    "spec.sampler",
    canonicalSampler(spec.sampler || "euler", names.samplers),
    names.samplers,
    spec.sampler === "",
  );
  const scheduler = problems.known(
    "SCHEDULER_NOT_FOUND",
    "scheduler",
    "spec.scheduler",
    spec.scheduler || "normal",
    names.schedulers,
    spec.scheduler === "",
  );
  const loras = spec.loras.map((lora, i) => resolveLora(lora, i, names, problems));
  const vae =
    spec.vae === ""
      ? undefined
      : problems.known("VAE_NOT_FOUND", "VAE", "spec.vae", spec.vae, names.models.vae);

  const { widthPx, heightPx } = sizeOf(spec, inputs);
  const steps = spec.steps ?? Math.min(20, limits.maxSteps);
  const imageCount = spec.imageCount ?? 1;
  problems.atMost("spec.width_px", "pixels, width times height", widthPx * heightPx, limits.maxPixels);
  problems.atMost("spec.steps", "steps", steps, limits.maxSteps);
  problems.atMost("spec.image_count", "images", imageCount, limits.maxImageCount);
  problems.throwIfAny();

  return {
    prompt: spec.prompt,
    negativePrompt: spec.negativePrompt,
    model,
    widthPx,
    heightPx,
    steps,
    cfg: spec.cfg ?? 7,
    denoise: spec.denoise ?? 1,
    sampler,
    scheduler,
    seed: spec.seed ?? inputs.randomSeed(),
    imageCount,
    loras,
    ...(spec.clipSkip === undefined ? {} : { clipSkip: spec.clipSkip }),
    ...(vae === undefined ? {} : { vae }),
    ...(spec.preview === undefined
      ? {}
      : { preview: { maxSidePx: spec.preview.maxSidePx ?? 512, format: spec.preview.format ?? "jpeg" } }),
    output: resolveOutput(spec.output),
    detach: spec.detach,
    allowReuse: spec.allowReuse,
  };
}

/** Sides that are not given are those of the model, made small enough for what the schema and the operator allow. */
function sizeOf(spec: GenerationSpec, { nativeSize, limits }: ResolveInputs): PixelSize {
  const { widthPx, heightPx } = nativeSize ?? { widthPx: fallbackSidePx, heightPx: fallbackSidePx };
  if (spec.widthPx !== undefined || spec.heightPx !== undefined) {
    return {
      widthPx: spec.widthPx ?? defaultSide(widthPx, limits.maxPixels / (spec.heightPx ?? heightPx)),
      heightPx: spec.heightPx ?? defaultSide(heightPx, limits.maxPixels / (spec.widthPx ?? widthPx)),
    };
  }
  const scale = Math.min(
    1,
    maxSidePx / Math.max(widthPx, heightPx),
    Math.sqrt(limits.maxPixels / (widthPx * heightPx)),
  );
  return {
    widthPx: defaultSide(widthPx * scale, maxSidePx),
    heightPx: defaultSide(heightPx * scale, maxSidePx),
  };
}

function defaultSide(sidePx: number, limitPx: number): number {
  return Math.max(minSidePx, Math.floor(Math.min(sidePx, limitPx, maxSidePx) / 8) * 8);
}

function resolveLora(
  lora: LoraSpec,
  index: number,
  names: KnownNames,
  problems: Problems,
): Required<LoraSpec> {
  const modelStrength = lora.modelStrength ?? 1;
  return {
    name: problems.known("LORA_NOT_FOUND", "LoRA", `spec.loras[${index}].name`, lora.name, names.models.lora),
    modelStrength,
    clipStrength: lora.clipStrength ?? modelStrength,
  };
}

function resolveOutput(output: OutputSpec): ResolvedOutput {
  const format = output.format ?? "png";
  return {
    format,
    ...(format === "png" ? {} : { quality: output.quality ?? defaultQuality[format] }),
    inlineLimitBytes: output.inlineLimitBytes ?? defaultInlineLimitBytes,
    stripMetadata: output.stripMetadata,
  };
}

/** An alias counts only where the backend does not list a sampler of that very name. */
function canonicalSampler(name: string, listed: readonly string[]): string {
  return listed.includes(name) ? name : (samplerAliases[name] ?? name);
}

/** Collects what is wrong, so that a caller learns everything at once. */
class Problems {
  readonly #violations: FieldViolation[] = [];
  #first: { reason: ErrorReason; message: string; metadata: Record<string, string> } | undefined;

  /** Returns the listed spelling of `name`, or notes that there is none. */
  known(
    reason: ErrorReason,
    what: string,
    field: string,
    name: string,
    listed: readonly string[],
    isDefault = false,
  ): string {
    const found = findListed(name, listed);
    if (found !== undefined) {
      return found;
    }
    const nearest = nearestNames(name, listed);
    const hint = nearest.length > 0 ? `; the nearest it has: ${nearest.join(", ")}` : "; it lists none";
    const whose = isDefault ? "not given, and the default of this server fails: " : "";
    this.#add(reason, field, `${whose}the backend has no ${what} "${name}"${hint}`, {
      name,
      nearest: JSON.stringify(nearest),
    });
    return name;
  }

  atMost(field: string, unit: string, value: number, limit: number): void {
    if (value > limit) {
      this.#add("INVALID_FIELD", field, `${value} ${unit}; this server allows at most ${limit}`, {});
    }
  }

  throwIfAny(): void {
    if (this.#first !== undefined) {
      const { reason, message, metadata } = this.#first;
      throw new ServiceError(reason, message, { metadata, violations: this.#violations });
    }
  }

  #add(reason: ErrorReason, field: string, description: string, metadata: Record<string, string>): void {
    this.#first ??= { reason, message: `${field}: ${description}`, metadata };
    this.#violations.push({ field, description });
  }
}

/** The listed spelling of `name`: ComfyUI lists paths with the separator of its host. */
function findListed(name: string, listed: readonly string[]): string | undefined {
  return listed.find((one) => one === name) ?? listed.find((one) => samePath(one, name));
}

function samePath(a: string, b: string): boolean {
  return a.replaceAll("\\", "/") === b.replaceAll("\\", "/");
}
