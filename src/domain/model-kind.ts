/**
 * What a model file is for. Beside each: the folder of a ComfyUI installation that holds such files, and the loader node
 * that lists them.
 */
export const modelKinds = [
  /** `checkpoints`, `CheckpointLoaderSimple`: diffusion model, text encoders and VAE in one file. */
  "checkpoint",
  /** `loras`, `LoraLoader`: changes the weights of a model. */
  "lora",
  /** `vae`, `VAELoader`: turns pictures into latents and back. */
  "vae",
  /** `controlnet`, `ControlNetLoader`: makes a picture follow another one. */
  "controlnet",
  /** `upscale_models`, `UpscaleModelLoader`: enlarges a picture. */
  "upscaler",
  /** `diffusion_models`, `UNETLoader`: a diffusion model alone, for families that come in several files. */
  "diffusionModel",
  /** `text_encoders`, `CLIPLoader`: a text encoder alone. */
  "textEncoder",
  /** `embeddings`, listed without the ends of their names: words that prompts may use as `embedding:name`. */
  "embedding",
] as const;

export type ModelKind = (typeof modelKinds)[number];

/** Names of models, each kind in the order in which the backend gives it. */
export type ModelNames = Readonly<Record<ModelKind, readonly string[]>>;

/** Names of each kind, made by `namesOf`. */
export function modelNames(namesOf: (kind: ModelKind) => readonly string[]): ModelNames {
  return {
    checkpoint: namesOf("checkpoint"),
    lora: namesOf("lora"),
    vae: namesOf("vae"),
    controlnet: namesOf("controlnet"),
    upscaler: namesOf("upscaler"),
    diffusionModel: namesOf("diffusionModel"),
    textEncoder: namesOf("textEncoder"),
    embedding: namesOf("embedding"),
  };
}
