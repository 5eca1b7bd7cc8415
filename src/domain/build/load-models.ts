import type { ResolvedModelFiles, ResolvedPicture } from "../generation.ts";
import type { GraphValue } from "../graph.ts";
import { modelFamilies } from "../resolve/model-families.ts";
import type { GraphBuilder, Link, ModelLinks } from "./graph-builder.ts";

/** Loads what a picture is drawn with: checkpoint or separate files, then LoRAs, clip skip and a VAE of its own. */
export function loadModels(builder: GraphBuilder, picture: ResolvedPicture): ModelLinks {
  const { modelFiles, clipSkip, vae } = picture;
  const bare =
    modelFiles === undefined ? loadCheckpoint(builder, picture.model) : loadFiles(builder, modelFiles);
  let { model, clip } = applyLoras(builder, picture, bare);
  if (clipSkip !== undefined) {
    clip = [
      builder.share("CLIPSetLastLayer", "Skip CLIP layers", { clip, stop_at_clip_layer: -clipSkip }),
      0,
    ];
  }
  if (modelFiles !== undefined) {
    model = shiftNoise(builder, modelFiles, model);
  }
  const ownVae: Link | undefined =
    vae === undefined ? bare.vae : [builder.share("VAELoader", "Load VAE", { vae_name: vae }), 0];
  if (ownVae === undefined) {
    throw new Error("a model in several files needs a VAE");
  }
  return { model, clip, vae: ownVae };
}

type BareModel = Pick<ModelLinks, "model" | "clip"> & { readonly vae?: Link };

function loadCheckpoint(builder: GraphBuilder, name: string): Required<BareModel> {
  const id = builder.add("4", "CheckpointLoaderSimple", "Load checkpoint", { ckpt_name: name });
  return { model: [id, 0], clip: [id, 1], vae: [id, 2] };
}

function loadFiles(builder: GraphBuilder, files: ResolvedModelFiles): BareModel {
  const { clipType } = modelFamilies[files.family];
  const model = builder.add("4", "UNETLoader", "Load diffusion model", {
    unet_name: files.diffusionModel,
    weight_dtype: files.weightType,
  });
  const [classType, inputs] = textEncoderLoader(files.textEncoders, clipType);
  const clip = builder.share(classType, "Load text encoders", inputs);
  return { model: [model, 0], clip: [clip, 0] };
}

/** ComfyUI has a loader class for each number of text encoders. */
function textEncoderLoader(
  names: readonly string[],
  type: string,
): readonly [classType: string, inputs: Record<string, GraphValue>] {
  const [first = ""] = names;
  const numbered = Object.fromEntries(names.map((name, i) => [`clip_name${i + 1}`, name]));
  switch (names.length) {
    case 1:
      return ["CLIPLoader", { clip_name: first, type }];
    case 2:
      return ["DualCLIPLoader", { ...numbered, type }];
    case 3:
      return ["TripleCLIPLoader", numbered];
    default:
      return ["QuadrupleCLIPLoader", numbered];
  }
}

function shiftNoise(builder: GraphBuilder, { family, shift }: ResolvedModelFiles, model: Link): Link {
  const traits = modelFamilies[family];
  return traits.shift === undefined || shift === undefined
    ? model
    : [builder.share(traits.shift.classType, "Shift noise schedule", { model, shift }), 0];
}

function applyLoras(
  builder: GraphBuilder,
  { loras }: ResolvedPicture,
  { model, clip }: BareModel,
): Pick<ModelLinks, "model" | "clip"> {
  let links: Pick<ModelLinks, "model" | "clip"> = { model, clip };
  for (const [i, lora] of loras.entries()) {
    const id = builder.share("LoraLoader", `Apply LoRA ${i + 1}`, {
      model: links.model,
      clip: links.clip,
      lora_name: lora.name,
      strength_model: lora.modelStrength,
      strength_clip: lora.clipStrength,
    });
    links = { model: [id, 0], clip: [id, 1] };
  }
  return links;
}
