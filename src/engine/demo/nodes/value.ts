import type { ModelFamily } from "../model-family.ts";
import type { Canvas } from "../picture/canvas.ts";
import type { Surroundings } from "../picture/guided.ts";
import type { LoraUse, Pixels } from "../picture/picture.ts";
import type { Plane } from "../picture/plane.ts";
import type { Hint, HintReading } from "../picture/trace.ts";

/** A diffusion model: which file it stands for, and what has been put on it. */
export interface Model {
  readonly kind: "MODEL";
  readonly checkpoint: string;
  readonly family: ModelFamily;
  readonly loras: readonly LoraUse[];
  /** How its noise is spread over the steps, as a text that tells one way from another; empty for its own. */
  readonly schedule: string;
  /** How much of the harshness of a high cfg is taken back, 0 to 1. */
  readonly rescaled: number;
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

/** A part of the way from noise to picture: 0 is its begin, 1 its end. */
export interface StepRange {
  readonly start: number;
  readonly end: number;
}

/** Hints that a picture is to follow. */
export interface Control {
  readonly hints: readonly Hint[];
  readonly strength: number;
  readonly steps: StepRange;
}

/** One encoded text, and the way in which it guides a sampler. */
export interface ConditioningPart {
  readonly text: string;
  readonly clip: Clip;
  /** Whatever else was said when it was encoded. */
  readonly details: readonly string[];
  /** A text that it has been averaged with, and the share of that, 0 to 1. */
  readonly averaged: { readonly text: string; readonly share: number } | undefined;
  /** How closely a model that heeds this follows it; its own choice, if nothing. */
  readonly guidance: number | undefined;
  /** When it counts. */
  readonly steps: StepRange;
  /** Where it counts, in any size; everywhere, if nothing. */
  readonly region: Plane | undefined;
  /** How much it counts there, 0 to 10. */
  readonly strength: number;
  readonly controls: readonly Control[];
  readonly surroundings: Surroundings | undefined;
}

/** Encoded texts that guide a sampler together. */
export interface Conditioning {
  readonly kind: "CONDITIONING";
  /** At least one. */
  readonly parts: readonly ConditioningPart[];
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
  /** The model that it was last painted from noise with. */
  readonly checkpoint: string | undefined;
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

/** Sound: silence of a certain length. */
export interface Audio {
  readonly kind: "AUDIO";
  /** In Hz. */
  readonly sampleRate: number;
  readonly channels: number;
  /** Of each channel. */
  readonly samples: number;
}

/** A sampling method that has been chosen by name. */
export interface Sampler {
  readonly kind: "SAMPLER";
  readonly name: string;
}

/** The noise that a sampler begins with. */
export interface Noise {
  readonly kind: "NOISE";
  /** 0 to 2^64 − 1; nothing: it adds none. */
  readonly seed: bigint | undefined;
}

/** What leads a sampler. */
export interface Guider {
  readonly kind: "GUIDER";
  readonly model: Model;
  readonly positive: Conditioning;
  readonly negative: Conditioning | undefined;
  readonly cfg: number;
}

/** Levels of noise from step to step. */
export interface Sigmas {
  readonly kind: "SIGMAS";
  /** Name of the scheduler, with what the model has to say on it. */
  readonly schedule: string;
  /** Steps of the whole schedule, of which those after `from` up to `to` are meant. */
  readonly steps: number;
  readonly from: number;
  readonly to: number;
  /** How much noise the whole schedule begins with, 0 to 1. */
  readonly denoise: number;
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
  | Audio
  | Sampler
  | Noise
  | Guider
  | Sigmas;

/** The value of one kind. */
export type ValueOf<Kind extends Value["kind"]> = Extract<Value, { readonly kind: Kind }>;
