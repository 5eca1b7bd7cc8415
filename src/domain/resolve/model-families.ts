import type { ModelFamily } from "../generation.ts";

/** What sets a family of diffusion models apart: how its graph is built, and its defaults. */
export interface FamilyTraits {
  /** Text encoders in their order, for messages; the last `optionalEncoderCount` may be left out. */
  readonly encoders: readonly string[];
  readonly optionalEncoderCount: number;
  /** What loaders of one or two text encoders are told they are for. */
  readonly clipType: string;
  readonly latentClass: "EmptySD3LatentImage" | "EmptyHunyuanImageLatent" | "EmptyFlux2LatentImage";
  /** Node class that shifts the noise schedule, and by how much unless told otherwise. */
  readonly shift?: {
    readonly classType: "ModelSamplingSD3" | "ModelSamplingAuraFlow";
    readonly default: number;
  };
  /** Default of what a distilled model is guided by. */
  readonly guidance?: number;
  readonly cfg: number;
  readonly steps: number;
  readonly scheduler: string;
  readonly nativeSidePx: number;
  /** What sides are multiples of: its latents have one place for so many pixels. Default: 8. */
  readonly sideMultiplePx?: number;
}

/**
 * The families by name. Numbers are those of the workflows that ComfyUI ships for them.
 *
 * @see https://docs.comfy.org/tutorials
 */
export const modelFamilies: Readonly<Record<ModelFamily, FamilyTraits>> = {
  flux: {
    encoders: ["CLIP-L", "T5-XXL"],
    optionalEncoderCount: 0,
    clipType: "flux",
    latentClass: "EmptySD3LatentImage",
    guidance: 3.5,
    cfg: 1,
    steps: 20,
    scheduler: "simple",
    nativeSidePx: 1_024,
  },
  sd3: {
    encoders: ["CLIP-L", "CLIP-G", "T5-XXL"],
    optionalEncoderCount: 1,
    clipType: "sd3",
    latentClass: "EmptySD3LatentImage",
    shift: { classType: "ModelSamplingSD3", default: 3 },
    cfg: 4.5,
    steps: 20,
    scheduler: "sgm_uniform",
    nativeSidePx: 1_024,
  },
  qwenImage: {
    encoders: ["Qwen2.5-VL"],
    optionalEncoderCount: 0,
    clipType: "qwen_image",
    latentClass: "EmptySD3LatentImage",
    shift: { classType: "ModelSamplingAuraFlow", default: 3.1 },
    cfg: 2.5,
    steps: 20,
    scheduler: "simple",
    nativeSidePx: 1_024,
  },
  zImage: {
    encoders: ["Qwen3"],
    optionalEncoderCount: 0,
    clipType: "lumina2",
    latentClass: "EmptySD3LatentImage",
    shift: { classType: "ModelSamplingAuraFlow", default: 3 },
    cfg: 1,
    steps: 9,
    scheduler: "simple",
    nativeSidePx: 1_024,
  },
  lumina2: {
    encoders: ["Gemma 2"],
    optionalEncoderCount: 0,
    clipType: "lumina2",
    latentClass: "EmptySD3LatentImage",
    shift: { classType: "ModelSamplingAuraFlow", default: 6 },
    cfg: 4,
    steps: 20,
    scheduler: "simple",
    nativeSidePx: 1_024,
  },
  chroma: {
    encoders: ["T5-XXL"],
    optionalEncoderCount: 0,
    clipType: "chroma",
    latentClass: "EmptySD3LatentImage",
    shift: { classType: "ModelSamplingAuraFlow", default: 1 },
    cfg: 4,
    steps: 20,
    scheduler: "beta",
    nativeSidePx: 1_024,
  },
  hidream: {
    encoders: ["CLIP-L", "CLIP-G", "T5-XXL", "Llama 3.1"],
    optionalEncoderCount: 0,
    clipType: "hidream",
    latentClass: "EmptySD3LatentImage",
    shift: { classType: "ModelSamplingSD3", default: 3 },
    cfg: 5,
    steps: 20,
    scheduler: "simple",
    nativeSidePx: 1_024,
  },
  hunyuanImage: {
    encoders: ["Qwen2.5-VL", "ByT5"],
    optionalEncoderCount: 0,
    clipType: "hunyuan_image",
    latentClass: "EmptyHunyuanImageLatent",
    shift: { classType: "ModelSamplingSD3", default: 5 },
    cfg: 3.5,
    steps: 20,
    scheduler: "simple",
    nativeSidePx: 2_048,
    sideMultiplePx: 32,
  },
  auraFlow: {
    encoders: ["Pile-T5"],
    optionalEncoderCount: 0,
    clipType: "stable_diffusion",
    latentClass: "EmptySD3LatentImage",
    shift: { classType: "ModelSamplingAuraFlow", default: 1.73 },
    cfg: 3.5,
    steps: 20,
    scheduler: "simple",
    nativeSidePx: 1_024,
  },
  flux2: {
    encoders: ["Mistral or Qwen3"],
    optionalEncoderCount: 0,
    clipType: "flux2",
    latentClass: "EmptyFlux2LatentImage",
    guidance: 4,
    cfg: 1,
    steps: 20,
    scheduler: "simple",
    nativeSidePx: 1_024,
    sideMultiplePx: 16,
  },
};
