import type { ModelFamily } from "../model-family.ts";
import type { Canvas } from "../picture/canvas.ts";
import type { Plane } from "../picture/denoise.ts";
import type { LoraUse, Pixels } from "../picture/picture.ts";
import type { HintReading } from "../picture/trace.ts";

/** A diffusion model: which file it stands for, and what has been put on it. */
export interface Model {
  readonly kind: "MODEL";
  readonly checkpoint: string;
  readonly family: ModelFamily;
  readonly loras: readonly LoraUse[];
}

/** A text encoder, or several that work together. */
export interface Clip {
  readonly kind: "CLIP";
  /** Files that it is made of; empty for a checkpoint's own. */
  readonly encoders: readonly string[];
  readonly loras: readonly LoraUse[];
  /** −1: all layers of the text encoder are used. */
  readonly layer: number;
}

/** What turns latent images into pictures. */
export interface Vae {
  readonly kind: "VAE";
  /** Empty for a checkpoint's own. */
  readonly name: string;
}

/** What makes a picture follow another one, the hint. */
export interface ControlNet {
  readonly kind: "CONTROL_NET";
  /** What it looks for in a hint. */
  readonly reads: HintReading;
}

/** What enlarges pictures. */
export interface UpscaleModel {
  readonly kind: "UPSCALE_MODEL";
  /** How many times as wide and high the picture becomes. */
  readonly scale: number;
}

/** An encoded text. */
export interface Conditioning {
  readonly kind: "CONDITIONING";
  readonly text: string;
  readonly clip: Clip;
}

/** Latent images: in this engine, pictures whose numbers are finer than bytes, in the colours of a VAE. */
export interface Latent {
  readonly kind: "LATENT";
  /** Size in pixels of the pictures that it stands for; multiples of 8. */
  readonly width: number;
  readonly height: number;
  readonly batchSize: number;
  /** The pictures, one for each of the batch; nothing if they are blank. */
  readonly canvases: readonly Canvas[] | undefined;
  /** Noise that is left in it, 0 to 1. */
  readonly noise: number;
  /** The seed that it was last painted with. */
  readonly seed: bigint | undefined;
  /** Where samplers may paint, in any size; everywhere, if nothing. */
  readonly noiseMask: Mask | undefined;
  /** For which place in a batch samplers paint each of them; nothing: for the one where it is. */
  readonly places: readonly number[] | undefined;
}

/** Pictures. */
export interface Image {
  readonly kind: "IMAGE";
  /** At least one; all of the same size. */
  readonly images: readonly Pixels[];
}

/** Which parts of a picture are meant. */
export interface Mask {
  readonly kind: "MASK";
  /** At least one; all of the same size. 1 marks what is to be repainted. */
  readonly planes: readonly Plane[];
}

/** A sampling method that has been chosen by name. */
export interface Sampler {
  readonly kind: "SAMPLER";
  readonly name: string;
}

/** What travels along the links of a graph. */
export type Value =
  | Model
  | Clip
  | Vae
  | ControlNet
  | UpscaleModel
  | Conditioning
  | Latent
  | Image
  | Mask
  | Sampler;

/** The value of one kind. */
export type ValueOf<Kind extends Value["kind"]> = Extract<Value, { readonly kind: Kind }>;
