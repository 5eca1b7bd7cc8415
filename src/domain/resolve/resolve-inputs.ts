import type { ModelNames } from "../model-kind.ts";

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
  /** Largest picture that is drawn, width times height, in pixels. */
  readonly maxPixels: number;
  /** Largest picture that one is enlarged to, width times height, in pixels. */
  readonly maxUpscaledPixels: number;
  readonly maxSteps: number;
  readonly maxImageCount: number;
}

/** What resolving a task needs beside it. */
export interface ResolveInputs {
  readonly names: KnownNames;
  readonly limits: GenerationLimits;
  /** Checkpoint for pictures that name none; empty: the first that the backend lists. */
  readonly defaultModel: string;
  /** Size the checkpoint was made for, in pixels, if known. */
  readonly nativeSize: PixelSize | undefined;
  /** Draws a seed for pictures without one: 0 to 2^53-1. */
  readonly randomSeed: () => bigint;
}
