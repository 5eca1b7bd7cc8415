import type { ParameterType } from "./workflow-template.ts";

/** A kind of input that people like to set, and what a parameter for it is called. */
export interface Role {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly type: ParameterType;
  readonly min?: number;
  readonly max?: number;
  /** Whether inputs that hold the same value become one parameter, since they are meant to change together. */
  readonly joins: boolean;
  /** Where such inputs are: names of them, and classes of their nodes; none: any class. */
  readonly inputs: readonly string[];
  readonly classes?: RegExp;
}

const choice = (
  name: string,
  title: string,
  description: string,
  classes: RegExp | undefined,
  ...inputs: readonly string[]
): Role => ({ name, title, description, type: "choice", joins: true, inputs, ...(classes && { classes }) });

const number = (
  name: string,
  title: string,
  description: string,
  bounds: { readonly min?: number; readonly max?: number },
  classes: RegExp | undefined,
  ...inputs: readonly string[]
): Role => ({
  ...{ name, title, description, inputs, ...bounds },
  type: "number",
  joins: false,
  ...(classes && { classes }),
});

const integer = (
  name: string,
  title: string,
  description: string,
  classes: RegExp | undefined,
  ...inputs: readonly string[]
): Role => ({
  ...{ name, title, description, inputs, min: 1 },
  type: "integer",
  joins: true,
  ...(classes && { classes }),
});

const prompt: Role = {
  name: "prompt",
  title: "Prompt",
  description: "What the picture shows.",
  type: "text",
  joins: true,
  inputs: [],
};
const negativePrompt: Role = {
  ...prompt,
  name: "negative_prompt",
  title: "Negative prompt",
  description: "What to keep out of the picture.",
};
const otherText: Role = { ...prompt, name: "text", title: "Text", description: "" };

/** Inputs that lead to the picture by what is written in them; found by following the links of samplers. */
export const textRoles = { prompt, negativePrompt, otherText };

/** The inputs of text encoders that hold what is written. */
export const textInputs: ReadonlySet<string> = new Set([
  ...["text", "prompt", "text_g", "text_l", "clip_g", "clip_l", "t5xxl", "llama", "value", "string"],
]);

const image: Role = {
  name: "image",
  title: "Image",
  description: "The picture to begin with.",
  type: "image",
  joins: true,
  inputs: [],
};
const mask: Role = { ...image, name: "mask", title: "Mask", description: "Where the picture is to change." };

/** Files that the graph reads. */
export const imageRoles = { image, mask };

/** All other kinds of inputs, in the order in which people are to see them. The first that fits counts. */
export const inputRoles: readonly Role[] = [
  integer(
    "width",
    "Width",
    "Width of the picture, in pixels.",
    /^Empty.*Latent|^ModelSamplingFlux$/,
    "width",
  ),
  integer(
    "height",
    "Height",
    "Height of the picture, in pixels.",
    /^Empty.*Latent|^ModelSamplingFlux$/,
    "height",
  ),
  integer("length", "Length", "Number of frames.", /^Empty.*Latent/, "length"),
  integer(
    "batch_size",
    "Images at once",
    "Number of pictures.",
    /^Empty.*Latent|^RepeatLatentBatch$/,
    "batch_size",
  ),
  integer("upscale_width", "Width after scaling", "In pixels.", /^(ImageScale|LatentUpscale)$/, "width"),
  integer("upscale_height", "Height after scaling", "In pixels.", /^(ImageScale|LatentUpscale)$/, "height"),
  number("upscale_factor", "Factor of scaling", "", {}, /^(ImageScaleBy|LatentUpscaleBy)$/, "scale_by"),
  integer("steps", "Steps", "Number of sampling steps.", undefined, "steps"),
  {
    ...number("cfg", "Guidance", "How closely the picture follows the prompt.", { min: 0 }, undefined, "cfg"),
    joins: true,
  },
  number(
    "guidance",
    "Guidance",
    "How closely the picture follows the prompt.",
    { min: 0 },
    /Guidance$/,
    "guidance",
  ),
  choice("sampler", "Sampler", "", undefined, "sampler_name"),
  choice("scheduler", "Scheduler", "", undefined, "scheduler"),
  number(
    "denoise",
    "Change",
    "How much of what it begins with is drawn anew: 0 nothing, 1 everything.",
    { min: 0, max: 1 },
    undefined,
    "denoise",
  ),
  number("shift", "Shift", "", {}, /^ModelSampling/, "shift"),
  {
    name: "seed",
    title: "Seed",
    description: "Equal seeds give equal pictures. Left out: a random one.",
    type: "seed",
    joins: true,
    inputs: ["seed", "noise_seed"],
  },
  choice("checkpoint", "Checkpoint", "", undefined, "ckpt_name"),
  choice("diffusion_model", "Diffusion model", "", undefined, "unet_name"),
  choice(
    "text_encoder",
    "Text encoder",
    "",
    /CLIPLoader/,
    ...["clip_name", "clip_name1", "clip_name2", "clip_name3", "clip_name4"],
  ),
  choice("vae", "VAE", "", undefined, "vae_name"),
  choice("lora", "LoRA", "", undefined, "lora_name"),
  number("lora_strength", "Strength of the LoRA", "On the diffusion model.", {}, /Lora/, "strength_model"),
  number("lora_clip_strength", "Strength of the LoRA", "On the text encoder.", {}, /Lora/, "strength_clip"),
  choice("controlnet", "ControlNet", "", undefined, "control_net_name"),
  number("controlnet_strength", "Strength of the ControlNet", "", {}, /^ControlNetApply/, "strength"),
  choice("upscale_model", "Upscale model", "", /^UpscaleModelLoader$/, "model_name"),
];
