import { ModelKind } from "../../../gen/comfyrpc/v1/catalog_pb.js";

/** Names of the kinds of models on the command line. */
export const kindNames = [
  "checkpoint",
  "lora",
  "vae",
  "controlnet",
  "upscaler",
  "diffusion-model",
  "text-encoder",
  "embedding",
] as const;

export type KindName = (typeof kindNames)[number];

/** The kind that `--kind` means by `name`. */
export function kindOfName(name: KindName): ModelKind {
  return kinds[name];
}

/** `kind` in a word, for people. */
export function nameOfKind(kind: ModelKind): string {
  return kindNames.find((name) => kinds[name] === kind) ?? "unknown";
}

const kinds: Record<KindName, ModelKind> = {
  checkpoint: ModelKind.CHECKPOINT,
  lora: ModelKind.LORA,
  vae: ModelKind.VAE,
  controlnet: ModelKind.CONTROLNET,
  upscaler: ModelKind.UPSCALER,
  "diffusion-model": ModelKind.DIFFUSION_MODEL,
  "text-encoder": ModelKind.TEXT_ENCODER,
  embedding: ModelKind.EMBEDDING,
};
