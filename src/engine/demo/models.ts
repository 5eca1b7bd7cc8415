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
    checkpoint("demo-sdxl.safetensors", "stable-diffusion-xl-v1-base", "1024x1024"),
  ],
  loras: [
    { name: "demo-neon.safetensors", metadata: { "modelspec.title": "Neon", note } },
    { name: "demo-watercolor.safetensors", metadata: { "modelspec.title": "Watercolor", note } },
  ],
  vae: [{ name: "demo-vae.safetensors", metadata: { "modelspec.title": "Warm tones", note } }],
};

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
