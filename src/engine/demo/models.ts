import type { JsonObject } from "./json.ts";

/** What an invented model file says about itself: the `__metadata__` of its safetensors header. */
export interface DemoModel {
  readonly name: string;
  readonly metadata: JsonObject;
}

/** The models that the engine pretends to have, by folder. */
export interface ModelCatalog {
  readonly folders: readonly string[];
  /** Names in a folder; `undefined` if there is no such folder. */
  readonly list: (folder: string) => readonly string[] | undefined;
  /** What a file says about itself; `undefined` if there is no such file. */
  readonly metadata: (folder: string, name: string) => JsonObject | undefined;
}

/** The invented models. Their names say what they are; none of them holds weights. */
export function createModelCatalog(): ModelCatalog {
  const models = new Map(Object.entries(MODELS));
  return {
    folders: FOLDERS,
    list: (folder) =>
      FOLDERS.includes(folder) ? (models.get(folder) ?? []).map((model) => model.name) : undefined,
    metadata: (folder, name) => models.get(folder)?.find((model) => model.name === name)?.metadata,
  };
}

/** Folders of a ComfyUI installation, in its order. */
const FOLDERS: readonly string[] = [
  "checkpoints",
  "configs",
  "loras",
  "vae",
  "text_encoders",
  "diffusion_models",
  "clip_vision",
  "style_models",
  "embeddings",
  "diffusers",
  "vae_approx",
  "controlnet",
  "gligen",
  "upscale_models",
  "latent_upscale_models",
  "custom_nodes",
  "hypernetworks",
  "photomaker",
  "classifiers",
  "model_patches",
  "audio_encoders",
];

const note = "Invented for the ComfyRPC built-in engine; holds no weights.";

const MODELS: Readonly<Record<string, readonly DemoModel[]>> = {
  checkpoints: [
    checkpoint("demo-sd15.safetensors", "stable-diffusion-v1", "512x512"),
    checkpoint("demo-sd15_inpaint.safetensors", "stable-diffusion-v1-inpainting", "512x512"),
    checkpoint("demo-sdxl.safetensors", "stable-diffusion-xl-v1-base", "1024x1024"),
    checkpoint("demo-sdxl_refiner.safetensors", "stable-diffusion-xl-v1-refiner", "1024x1024"),
  ],
  loras: [titled("demo-neon.safetensors", "Neon"), titled("demo-watercolor.safetensors", "Watercolor")],
  vae: [
    titled("demo-vae.safetensors", "Warm tones"),
    titled("demo-vae_flux.safetensors", "Clear tones"),
    titled("demo-vae_qwen.safetensors", "Soft tones"),
  ],
  text_encoders: [
    titled("demo-clip_g.safetensors", "CLIP G"),
    titled("demo-clip_l.safetensors", "CLIP L"),
    titled("demo-gemma.safetensors", "Gemma"),
    titled("demo-llama.safetensors", "Llama"),
    titled("demo-mistral.safetensors", "Mistral"),
    titled("demo-qwen.safetensors", "Qwen"),
    titled("demo-t5xxl.safetensors", "T5 XXL"),
  ],
  diffusion_models: [
    diffusionModel("demo-auraflow.safetensors", "auraflow"),
    diffusionModel("demo-chroma.safetensors", "chroma"),
    diffusionModel("demo-flux.safetensors", "flux-1-dev"),
    diffusionModel("demo-flux2.safetensors", "flux-2-dev"),
    diffusionModel("demo-hidream.safetensors", "hidream"),
    diffusionModel("demo-hunyuan-image.safetensors", "hunyuan-image"),
    diffusionModel("demo-lumina2.safetensors", "lumina-2"),
    diffusionModel("demo-qwen-image.safetensors", "qwen-image"),
    diffusionModel("demo-sd3.safetensors", "stable-diffusion-v3"),
    diffusionModel("demo-z-image.safetensors", "z-image"),
  ],
  embeddings: [
    embedding("demo-autumn.safetensors", "autumn, orange leaves, golden evening"),
    embedding("demo-bad-weather.safetensors", "storm, rain, fog, gloomy grey sky"),
  ],
  controlnet: [
    titled("demo-canny.safetensors", "Canny"),
    titled("demo-depth.safetensors", "Depth"),
    titled("demo-lineart.safetensors", "Line art"),
    titled("demo-openpose.safetensors", "OpenPose"),
    titled("demo-scribble.safetensors", "Scribble"),
    titled("demo-tile.safetensors", "Tile"),
    titled("demo-union.safetensors", "Union"),
  ],
  upscale_models: [upscaler("demo-upscale-2x.safetensors", 2), upscaler("demo-upscale-4x.safetensors", 4)],
};

function titled(name: string, title: string): DemoModel {
  return { name, metadata: { "modelspec.title": title, note } };
}

function checkpoint(name: string, architecture: string, resolution: string): DemoModel {
  return {
    name,
    metadata: {
      "modelspec.title": name.replace(".safetensors", ""),
      "modelspec.architecture": architecture,
      "modelspec.resolution": resolution,
      note,
    },
  };
}

function diffusionModel(name: string, architecture: string): DemoModel {
  return checkpoint(name, architecture, "1024x1024");
}

/** A word of its own, which stands for some that everybody knows. */
function embedding(name: string, words: string): DemoModel {
  return { name, metadata: { ...titled(name, words).metadata, words } };
}

function upscaler(name: string, scale: number): DemoModel {
  return { name, metadata: { ...titled(name, `${scale}x`).metadata, scale: String(scale) } };
}
