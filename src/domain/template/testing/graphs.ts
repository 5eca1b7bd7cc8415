import { buildNodeClass } from "../../../../test/support/node-classes.ts";
import type { GraphNode, GraphValue, WorkflowGraph } from "../../graph.ts";
import type { NodeClass, NodeClasses, NodeInput } from "../../node-class.ts";

/** A node of a graph. */
export function node(
  class_type: string,
  inputs: Readonly<Record<string, GraphValue>>,
  title?: string,
): GraphNode {
  return { class_type, inputs, ...(title !== undefined && { _meta: { title } }) };
}

/** A class of which only these inputs are known. */
export function nodeClass(
  name: string,
  inputs: readonly Omit<NodeInput, "isRequired" | "options">[],
): NodeClass {
  return buildNodeClass(name, {
    inputs: inputs.map((input) => ({ isRequired: true, options: {}, ...input })),
  });
}

/** Classes by name. */
export function classesOf(...classes: readonly NodeClass[]): NodeClasses {
  return new Map(classes.map((each) => [each.name, each]));
}

/** Draws a picture from a prompt, in ComfyUI's own numbering. */
export const textToImage: WorkflowGraph = {
  "3": node("KSampler", {
    ...{ seed: 156680208700286n, steps: 20, cfg: 8, sampler_name: "euler", scheduler: "normal", denoise: 1 },
    ...{ model: ["4", 0], positive: ["6", 0], negative: ["7", 0], latent_image: ["5", 0] },
  }),
  "4": node("CheckpointLoaderSimple", { ckpt_name: "sd15.safetensors" }),
  "5": node("EmptyLatentImage", { width: 512, height: 768, batch_size: 1 }),
  "6": node("CLIPTextEncode", { text: "a lighthouse", clip: ["4", 1] }),
  "7": node("CLIPTextEncode", { text: "watermark", clip: ["4", 1] }),
  "8": node("VAEDecode", { samples: ["3", 0], vae: ["4", 2] }),
  "9": node("SaveImage", { filename_prefix: "ComfyUI", images: ["8", 0] }),
};

/** SDXL base and refiner: two samplers of one picture, each with text encoders of its own. */
export const baseAndRefiner: WorkflowGraph = {
  "4": node("CheckpointLoaderSimple", { ckpt_name: "base.safetensors" }),
  "12": node("CheckpointLoaderSimple", { ckpt_name: "refiner.safetensors" }),
  "5": node("EmptyLatentImage", { width: 1024, height: 1024, batch_size: 1 }),
  "6": node("CLIPTextEncode", { text: "a fox", clip: ["4", 1] }),
  "7": node("CLIPTextEncode", { text: "", clip: ["4", 1] }),
  "15": node("CLIPTextEncode", { text: "a fox", clip: ["12", 1] }),
  "16": node("CLIPTextEncode", { text: "", clip: ["12", 1] }),
  "10": node("KSamplerAdvanced", {
    ...{ add_noise: "enable", noise_seed: 7, steps: 25, cfg: 8, sampler_name: "euler", scheduler: "normal" },
    ...{ start_at_step: 0, end_at_step: 20, return_with_leftover_noise: "enable" },
    ...{ model: ["4", 0], positive: ["6", 0], negative: ["7", 0], latent_image: ["5", 0] },
  }),
  "11": node("KSamplerAdvanced", {
    ...{ add_noise: "disable", noise_seed: 0, steps: 25, cfg: 8, sampler_name: "euler", scheduler: "normal" },
    ...{ start_at_step: 20, end_at_step: 10_000, return_with_leftover_noise: "disable" },
    ...{ model: ["12", 0], positive: ["15", 0], negative: ["16", 0], latent_image: ["10", 0] },
  }),
  "17": node("VAEDecode", { samples: ["11", 0], vae: ["12", 2] }),
  "19": node("SaveImage", { filename_prefix: "ComfyUI", images: ["17", 0] }),
};

/** Flux in separate nodes: a guider with one conditioning, text and size from primitive nodes. */
export const fluxInParts: WorkflowGraph = {
  "1": node("UNETLoader", { unet_name: "flux.safetensors", weight_dtype: "default" }),
  "2": node("DualCLIPLoader", {
    clip_name1: "clip_l.safetensors",
    clip_name2: "t5.safetensors",
    type: "flux",
  }),
  "3": node("VAELoader", { vae_name: "ae.safetensors" }),
  "4": node("PrimitiveStringMultiline", { value: "a heron" }, "What to draw"),
  "5": node("CLIPTextEncode", { text: ["4", 0], clip: ["2", 0] }),
  "6": node("FluxGuidance", { guidance: 3.5, conditioning: ["5", 0] }),
  "7": node("BasicGuider", { model: ["13", 0], conditioning: ["6", 0] }),
  "8": node("PrimitiveInt", { value: 1024 }, "Side"),
  "9": node("EmptySD3LatentImage", { width: ["8", 0], height: ["8", 0], batch_size: 2 }),
  "10": node("RandomNoise", { noise_seed: 42 }),
  "11": node("KSamplerSelect", { sampler_name: "euler" }),
  "12": node("BasicScheduler", { scheduler: "simple", steps: 20, denoise: 1, model: ["13", 0] }),
  "13": node("ModelSamplingFlux", {
    ...{ max_shift: 1.15, base_shift: 0.5, width: ["8", 0], height: ["8", 0] },
    model: ["1", 0],
  }),
  "14": node("SamplerCustomAdvanced", {
    ...{ noise: ["10", 0], guider: ["7", 0], sampler: ["11", 0], sigmas: ["12", 0], latent_image: ["9", 0] },
  }),
  "15": node("VAEDecode", { samples: ["14", 0], vae: ["3", 0] }),
  "16": node("PrimitiveFloat", { value: 0.25 }, "Grain (%)"),
  "17": node("Grain", { amount: ["16", 0], images: ["15", 0] }),
  "18": node("SaveImage", { filename_prefix: "ComfyUI", images: ["17", 0] }),
};

/** Two LoRAs, a ControlNet, an image, a mask from another, a second pass and an upscale model. */
export const everything: WorkflowGraph = {
  "1": node("CheckpointLoaderSimple", { ckpt_name: "sd15.safetensors" }),
  "2": node("LoraLoader", {
    ...{ lora_name: "a.safetensors", strength_model: 1, strength_clip: 1, model: ["1", 0], clip: ["1", 1] },
  }),
  "3": node("LoraLoaderModelOnly", { lora_name: "b.safetensors", strength_model: 1, model: ["2", 0] }),
  "4": node("CLIPTextEncodeSDXL", { text_g: "a castle", text_l: "a castle", clip: ["2", 1], width: 1024 }),
  "5": node("ConditioningZeroOut", { conditioning: ["4", 0] }),
  "6": node("ControlNetLoader", { control_net_name: "canny.safetensors" }),
  "7": node("LoadImage", { image: "edges.png" }),
  "8": node("ControlNetApplyAdvanced", {
    ...{ positive: ["4", 0], negative: ["5", 0], control_net: ["6", 0], image: ["7", 0] },
    ...{ strength: 0.8, start_percent: 0, end_percent: 1 },
  }),
  "9": node("LoadImage", { image: "photo.png" }),
  "10": node("LoadImage", { image: "mask.png" }),
  "11": node("VAEEncodeForInpaint", {
    ...{ pixels: ["9", 0], vae: ["1", 2], mask: ["10", 1], grow_mask_by: 6 },
  }),
  "12": node("KSampler", {
    ...{ seed: 1, steps: 20, cfg: 7, sampler_name: "euler", scheduler: "normal", denoise: 0.9 },
    ...{ model: ["3", 0], positive: ["8", 0], negative: ["8", 1], latent_image: ["11", 0] },
  }),
  "13": node("LatentUpscaleBy", { upscale_method: "bilinear", scale_by: 1.5, samples: ["12", 0] }),
  "14": node("KSampler", {
    ...{ seed: 2, steps: 10, cfg: 7, sampler_name: "dpmpp_2m", scheduler: "karras", denoise: 0.5 },
    ...{ model: ["3", 0], positive: ["8", 0], negative: ["8", 1], latent_image: ["13", 0] },
  }),
  "15": node("VAEDecode", { samples: ["14", 0], vae: ["1", 2] }),
  "16": node("UpscaleModelLoader", { model_name: "x4.pth" }),
  "17": node("ImageUpscaleWithModel", { upscale_model: ["16", 0], image: ["15", 0] }),
  "18": node("SaveImage", { filename_prefix: "ComfyUI", images: ["17", 0] }),
};
