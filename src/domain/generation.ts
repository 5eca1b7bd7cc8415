import type { ImageFormat } from "./image.ts";

/**
 * What a caller asks for, after the schema's own rules have been checked. What is left out is filled in by
 * `resolveGeneration`; ranges and defaults are those of `GenerationSpec` in the public API.
 */
export interface GenerationSpec {
  readonly prompt: string;
  readonly negativePrompt: string;
  /** Empty: the default. */
  readonly model: string;
  readonly widthPx?: number;
  readonly heightPx?: number;
  readonly steps?: number;
  readonly cfg?: number;
  readonly denoise?: number;
  /** Empty: the default. */
  readonly sampler: string;
  /** Empty: the default. */
  readonly scheduler: string;
  readonly seed?: bigint;
  readonly imageCount?: number;
  readonly loras: readonly LoraSpec[];
  readonly clipSkip?: number;
  /** Empty: the checkpoint's own. */
  readonly vae: string;
  readonly preview?: PreviewSpec;
  readonly output: OutputSpec;
  /** Whether the job goes on when the call that waits for it has gone. */
  readonly detach: boolean;
  /** Whether the images of an earlier job that did the same work may be the answer. */
  readonly allowReuse: boolean;
}

export interface LoraSpec {
  readonly name: string;
  readonly modelStrength?: number;
  readonly clipStrength?: number;
}

export interface PreviewSpec {
  readonly maxSidePx?: number;
  readonly format?: "jpeg" | "webp";
}

export interface OutputSpec {
  readonly format?: ImageFormat;
  readonly quality?: number;
  readonly inlineLimitBytes?: number;
  readonly stripMetadata: boolean;
}

/** A generation in which nothing is left open, so that it can be repeated. */
export interface ResolvedGeneration {
  readonly prompt: string;
  readonly negativePrompt: string;
  readonly model: string;
  readonly widthPx: number;
  readonly heightPx: number;
  readonly steps: number;
  readonly cfg: number;
  readonly denoise: number;
  readonly sampler: string;
  readonly scheduler: string;
  /** Seed of the first image; see {@link seedOfImage}. */
  readonly seed: bigint;
  readonly imageCount: number;
  readonly loras: readonly Required<LoraSpec>[];
  readonly clipSkip?: number;
  readonly vae?: string;
  readonly preview?: Required<PreviewSpec>;
  readonly output: ResolvedOutput;
  readonly detach: boolean;
  readonly allowReuse: boolean;
}

export interface ResolvedOutput {
  readonly format: ImageFormat;
  /** Absent for PNG. */
  readonly quality?: number;
  readonly inlineLimitBytes: number;
  /** Whether metadata is removed from a PNG; other formats never carry it. */
  readonly stripMetadata: boolean;
}

/** Seed of image number `index`: the seeds of a job follow each other and wrap at 2^64. */
export function seedOfImage(seed: bigint, index: number): bigint {
  return BigInt.asUintN(64, seed + BigInt(index));
}
