import {
  FEW_STEPS,
  freshSeed,
  type Graph,
  type Link,
  saveImage,
  txt2img,
  withInputs,
  withoutNode,
} from "./graphs.ts";

/** Folders of models that graphs name files of, as `GET /models/{folder}` lists them. */
export type ModelFolder =
  | "checkpoints"
  | "loras"
  | "vae"
  | "controlnet"
  | "upscale_models"
  | "diffusion_models"
  | "text_encoders";

/** What graphs are made for: a file of each folder, and an uploaded picture with an alpha channel. */
export interface Supplies {
  readonly file: Readonly<Record<ModelFolder, string>>;
  readonly image: string;
}

/** A graph that clients make for one purpose (protocol 4). It saves at node 9. */
export interface CanonicalGraph {
  readonly title: string;
  /** Folders beside `checkpoints` that it needs a file of. */
  readonly needs: readonly ModelFolder[];
  /** Whether a checkpoint of any architecture will do to run it. */
  readonly anyCheckpoint: boolean;
  readonly make: (supplies: Supplies) => Graph;
}

/** Node ids and inputs are those of protocol 4, shrunk to 64 × 64 pixels and a few steps. */
export const canonicalGraphs: readonly CanonicalGraph[] = [
  { title: "text to image", needs: [], anyCheckpoint: true, make: base },
  {
    title: "clip skip and a VAE",
    needs: ["vae"],
    anyCheckpoint: true,
    make: ({ file, image }) => ({
      ...withInputs(withClip(base({ file, image }), ["20", 0]), "8", { vae: ["21", 0] }),
      "20": node("CLIPSetLastLayer", { clip: ["4", 1], stop_at_clip_layer: -2 }),
      "21": node("VAELoader", { vae_name: file.vae }),
    }),
  },
  {
    title: "LoRAs in a chain",
    needs: ["loras"],
    anyCheckpoint: true,
    make: ({ file, image }) => ({
      ...withInputs(withClip(base({ file, image }), ["11", 1]), "3", { model: ["12", 0] }),
      "10": node("LoraLoader", lora(file.loras, ["4", 0], ["4", 1])),
      "11": node("LoraLoader", lora(file.loras, ["10", 0], ["10", 1])),
      "12": node("LoraLoaderModelOnly", { model: ["11", 0], lora_name: file.loras, strength_model: 0.5 }),
    }),
  },
  {
    title: "a second pass on the latent",
    needs: [],
    anyCheckpoint: true,
    make: (supplies) => ({
      ...withInputs(base(supplies), "8", { samples: ["31", 0] }),
      "30": node("LatentUpscaleBy", { samples: ["3", 0], upscale_method: "nearest-exact", scale_by: 1.5 }),
      "31": sampler(["30", 0], { denoise: 0.5 }),
    }),
  },
  {
    title: "a second pass on the pixels",
    needs: [],
    anyCheckpoint: true,
    make: (supplies) => ({
      ...withInputs(base(supplies), "9", { images: ["34", 0] }),
      "32": node("ImageScaleBy", { image: ["8", 0], upscale_method: "lanczos", scale_by: 1.5 }),
      "33": node("VAEEncode", { pixels: ["32", 0], vae: ["4", 2] }),
      "31": sampler(["33", 0], { denoise: 0.4 }),
      "34": node("VAEDecode", { samples: ["31", 0], vae: ["4", 2] }),
    }),
  },
  {
    title: "image to image",
    needs: [],
    anyCheckpoint: true,
    make: (supplies) => ({
      ...fromLatent(supplies, ["43", 0], 0.5),
      "41": node("ImageScale", {
        image: ["40", 0],
        upscale_method: "lanczos",
        width: 64,
        height: 64,
        crop: "center",
      }),
      "42": node("VAEEncode", { pixels: ["41", 0], vae: ["4", 2] }),
      "43": node("RepeatLatentBatch", { samples: ["42", 0], amount: 2 }),
    }),
  },
  {
    title: "inpainting by the alpha channel",
    needs: [],
    anyCheckpoint: true,
    make: (supplies) => ({
      ...fromLatent(supplies, ["44", 0], 1),
      "44": node("VAEEncodeForInpaint", inpainted(["40", 0], ["40", 1])),
    }),
  },
  {
    title: "inpainting by a mask image",
    needs: [],
    anyCheckpoint: true,
    make: (supplies) => ({
      ...fromLatent(supplies, ["46", 0], 0.7),
      "42": node("VAEEncode", { pixels: ["40", 0], vae: ["4", 2] }),
      "45": node("LoadImageMask", { image: supplies.image, channel: "red" }),
      "46": node("SetLatentNoiseMask", { samples: ["42", 0], mask: ["45", 0] }),
    }),
  },
  {
    title: "inpainting by an inpaint model",
    needs: [],
    anyCheckpoint: true,
    make: (supplies) => ({
      ...withInputs(fromLatent(supplies, ["47", 2], 1), "3", { positive: ["47", 0], negative: ["47", 1] }),
      "47": node("InpaintModelConditioning", {
        ...guides,
        vae: ["4", 2],
        pixels: ["40", 0],
        mask: ["40", 1],
        noise_mask: true,
      }),
    }),
  },
  {
    title: "outpainting",
    needs: [],
    anyCheckpoint: true,
    make: (supplies) => ({
      ...fromLatent(supplies, ["44", 0], 1),
      "48": node("ImagePadForOutpaint", {
        image: ["40", 0],
        left: 0,
        top: 0,
        right: 32,
        bottom: 0,
        feathering: 8,
      }),
      "44": node("VAEEncodeForInpaint", inpainted(["48", 0], ["48", 1])),
    }),
  },
  {
    title: "upscaling alone",
    needs: ["upscale_models"],
    anyCheckpoint: true,
    make: ({ file, image }) => ({
      "1": node("LoadImage", { image }),
      "2": node("UpscaleModelLoader", { model_name: file.upscale_models }),
      "3": node("ImageUpscaleWithModel", { upscale_model: ["2", 0], image: ["1", 0] }),
      "4": node("ImageScale", {
        image: ["3", 0],
        upscale_method: "area",
        width: 96,
        height: 96,
        crop: "disabled",
      }),
      "9": saveImage(["4", 0]),
    }),
  },
  {
    title: "two ControlNets",
    needs: ["controlnet"],
    anyCheckpoint: true,
    make: ({ file, image }) => ({
      ...withInputs(base({ file, image }), "3", { positive: ["53", 0], negative: ["53", 1] }),
      "50": node("LoadImage", { image }),
      "51": node("ControlNetLoader", { control_net_name: file.controlnet }),
      "52": node("ControlNetApplyAdvanced", { ...guides, ...controlled, vae: ["4", 2] }),
      "54": node("Canny", { image: ["50", 0], low_threshold: 0.4, high_threshold: 0.8 }),
      "53": node("ControlNetApplyAdvanced", {
        ...controlled,
        positive: ["52", 0],
        negative: ["52", 1],
        image: ["54", 0],
        end_percent: 0.5,
      }),
    }),
  },
  {
    title: "SDXL with a refiner",
    needs: [],
    anyCheckpoint: false,
    make: (supplies) => {
      const { "3": _sampler, ...rest } = withInputs(base(supplies), "8", {
        samples: ["11", 0],
        vae: ["12", 2],
      });
      return {
        ...rest,
        "6": node("CLIPTextEncodeSDXL", {
          ...{ clip: ["4", 1], width: 64, height: 64, crop_w: 0, crop_h: 0 },
          ...{ target_width: 64, target_height: 64, text_g: "a red fox", text_l: "a red fox" },
        }),
        "10": advanced(["5", 0], ["4", 0], {
          ...{ positive: ["6", 0], negative: ["7", 0], add_noise: "enable" },
          ...{ start_at_step: 0, end_at_step: 2, return_with_leftover_noise: "enable" },
        }),
        "12": node("CheckpointLoaderSimple", { ckpt_name: supplies.file.checkpoints }),
        "13": refinerText("a red fox", 6),
        "14": refinerText("", 2.5),
        "11": advanced(["10", 0], ["12", 0], {
          ...{ positive: ["13", 0], negative: ["14", 0], add_noise: "disable" },
          ...{ start_at_step: 2, end_at_step: 10_000, return_with_leftover_noise: "disable" },
        }),
      };
    },
  },
  {
    title: "Flux",
    needs: ["diffusion_models", "text_encoders", "vae"],
    anyCheckpoint: false,
    make: (supplies) => ({
      ...flux(supplies),
      "3": sampler(["5", 0], {
        ...{ model: ["1", 0], positive: ["4", 0], negative: ["7", 0] },
        ...{ cfg: 1, scheduler: "simple" },
      }),
      "7": node("ConditioningZeroOut", { conditioning: ["6", 0] }),
    }),
  },
  {
    title: "Flux by custom sampling",
    needs: ["diffusion_models", "text_encoders", "vae"],
    anyCheckpoint: false,
    make: (supplies) => ({
      ...withInputs(flux(supplies), "8", { samples: ["25", 0] }),
      "20": node("ModelSamplingFlux", {
        ...{ model: ["1", 0], max_shift: 1.15, base_shift: 0.5, width: 64, height: 64 },
      }),
      ...customSampler(["20", 0], "simple"),
      "22": node("BasicGuider", { model: ["20", 0], conditioning: ["4", 0] }),
    }),
  },
  {
    title: "custom sampling with a negative prompt",
    needs: [],
    anyCheckpoint: true,
    make: (supplies) => ({
      ...withoutNode(withInputs(base(supplies), "8", { samples: ["25", 0] }), "3"),
      ...customSampler(["4", 0], "karras"),
      "22": node("CFGGuider", { model: ["4", 0], ...guides, cfg: 7 }),
    }),
  },
  {
    title: "SD3 in several files",
    needs: ["diffusion_models", "text_encoders", "vae"],
    anyCheckpoint: false,
    make: ({ file }) => ({
      "1": node("UNETLoader", { unet_name: file.diffusion_models, weight_dtype: "default" }),
      "2": node("TripleCLIPLoader", {
        clip_name1: file.text_encoders,
        clip_name2: file.text_encoders,
        clip_name3: file.text_encoders,
      }),
      ...splitBase(file.vae),
      "20": node("ModelSamplingSD3", { model: ["1", 0], shift: 3 }),
      "7": node("CLIPTextEncode", { text: "", clip: ["2", 0] }),
      "3": sampler(["5", 0], { model: ["20", 0], cfg: 4.5 }),
    }),
  },
  {
    title: "a family with one text encoder",
    needs: ["diffusion_models", "text_encoders", "vae"],
    anyCheckpoint: false,
    make: ({ file }) => ({
      "1": node("UNETLoader", { unet_name: file.diffusion_models, weight_dtype: "fp8_e4m3fn" }),
      "2": node("CLIPLoader", { clip_name: file.text_encoders, type: "qwen_image", device: "default" }),
      ...splitBase(file.vae),
      "20": node("ModelSamplingAuraFlow", { model: ["1", 0], shift: 3.1 }),
      "7": node("CLIPTextEncode", { text: "", clip: ["2", 0] }),
      "3": sampler(["5", 0], { model: ["20", 0], cfg: 2.5 }),
    }),
  },
];

type Inputs = Graph[string]["inputs"];

const guides = { positive: ["6", 0], negative: ["7", 0] } as const;

const controlled = {
  control_net: ["51", 0],
  image: ["50", 0],
  strength: 0.8,
  start_percent: 0,
  end_percent: 1,
} as const;

function base({ file }: Supplies): Graph {
  return txt2img({ checkpoint: file.checkpoints });
}

/** The base graph from a latent of the uploaded picture, which node 40 loads. */
function fromLatent(supplies: Supplies, latent_image: Link, denoise: number): Graph {
  return {
    ...withoutNode(withInputs(base(supplies), "3", { latent_image, denoise }), "5"),
    "40": node("LoadImage", { image: supplies.image }),
  };
}

function flux({ file }: Supplies): Graph {
  return {
    "1": node("UNETLoader", { unet_name: file.diffusion_models, weight_dtype: "default" }),
    "2": node("DualCLIPLoader", {
      clip_name1: file.text_encoders,
      clip_name2: file.text_encoders,
      type: "flux",
    }),
    ...splitBase(file.vae),
    "4": node("FluxGuidance", { conditioning: ["6", 0], guidance: 3.5 }),
  };
}

/** What all models in several files have in common: node 2 is the text encoder, node 3 samples. */
function splitBase(vae_name: string): Graph {
  return {
    "10": node("VAELoader", { vae_name }),
    "5": node("EmptySD3LatentImage", { width: 64, height: 64, batch_size: 1 }),
    "6": node("CLIPTextEncode", { text: "a red fox", clip: ["2", 0] }),
    "8": node("VAEDecode", { samples: ["3", 0], vae: ["10", 0] }),
    "9": saveImage(["8", 0]),
  };
}

/** Custom sampling, of which node 22 is the guider and node 25 the end. */
function customSampler(model: Link, scheduler: string): Graph {
  return {
    "21": node("RandomNoise", { noise_seed: freshSeed() }),
    "23": node("KSamplerSelect", { sampler_name: "euler" }),
    "24": node("BasicScheduler", { model, scheduler, steps: FEW_STEPS, denoise: 1 }),
    "25": node("SamplerCustomAdvanced", {
      noise: ["21", 0],
      guider: ["22", 0],
      sampler: ["23", 0],
      sigmas: ["24", 0],
      latent_image: ["5", 0],
    }),
  };
}

function sampler(latent_image: Link, changes: Inputs) {
  return node("KSampler", {
    ...guides,
    model: ["4", 0],
    latent_image,
    seed: freshSeed(),
    steps: FEW_STEPS,
    cfg: 7,
    sampler_name: "euler",
    scheduler: "normal",
    denoise: 1,
    ...changes,
  });
}

function advanced(latent_image: Link, model: Link, changes: Inputs) {
  const how = { steps: FEW_STEPS, cfg: 7, sampler_name: "euler", scheduler: "normal" };
  return node("KSamplerAdvanced", { model, latent_image, noise_seed: freshSeed(), ...how, ...changes });
}

function refinerText(text: string, ascore: number) {
  return node("CLIPTextEncodeSDXLRefiner", { ascore, width: 64, height: 64, text, clip: ["12", 1] });
}

function inpainted(pixels: Link, mask: Link): Inputs {
  return { pixels, vae: ["4", 2], mask, grow_mask_by: 6 };
}

function lora(lora_name: string, model: Link, clip: Link): Inputs {
  return { model, clip, lora_name, strength_model: 0.8, strength_clip: 0.8 };
}

function withClip(graph: Graph, clip: Link): Graph {
  return withInputs(withInputs(graph, "6", { clip }), "7", { clip });
}

function node(class_type: string, inputs: Inputs) {
  return { class_type, inputs };
}
