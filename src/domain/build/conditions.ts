import type { ResolvedControlNet, ResolvedPicture } from "../generation.ts";
import { modelFamilies } from "../resolve/model-families.ts";
import type { Conditions, GraphBuilder, Link, ModelLinks } from "./graph-builder.ts";
import type { InputFiles } from "./input-files.ts";

/** Encodes the prompts, guides by ControlNets, and tells a distilled model how closely to follow. */
export function buildConditions(
  builder: GraphBuilder,
  files: InputFiles,
  picture: ResolvedPicture,
  { clip, vae }: ModelLinks,
): Conditions {
  const prompts = encodePrompts(builder, picture, clip);
  return picture.controlNets.reduce(
    (conditions, net, i) => applyControlNet(builder, files, { net, number: i + 1, vae, conditions }),
    prompts,
  );
}

function encodePrompts(
  builder: GraphBuilder,
  { prompt, negativePrompt, cfg, modelFiles }: ResolvedPicture,
  clip: Link,
): Conditions {
  const text: Link = [builder.add("6", "CLIPTextEncode", "Encode prompt", { text: prompt, clip }), 0];
  const guidance = modelFiles?.guidance;
  const positive: Link =
    guidance === undefined
      ? text
      : [builder.share("FluxGuidance", "Guide by prompt", { conditioning: text, guidance }), 0];
  // Models of these families are never told what not to draw: at cfg 1 it would only cost time.
  const isUnguided = modelFiles !== undefined && cfg === 1 && modelFamilies[modelFiles.family].cfg === 1;
  const negative =
    isUnguided && negativePrompt === ""
      ? builder.add("7", "ConditioningZeroOut", "No negative prompt", { conditioning: text })
      : builder.add("7", "CLIPTextEncode", "Encode negative prompt", { text: negativePrompt, clip });
  return { positive, negative: [negative, 0] };
}

function applyControlNet(
  builder: GraphBuilder,
  files: InputFiles,
  {
    net,
    number,
    vae,
    conditions,
  }: {
    readonly net: ResolvedControlNet;
    readonly number: number;
    readonly vae: Link;
    readonly conditions: Conditions;
  },
): Conditions {
  const image = preprocess(builder, net, files.loadImage(net.image));
  const loader = builder.share("ControlNetLoader", `Load ControlNet ${number}`, {
    control_net_name: net.model,
  });
  const applied = builder.share("ControlNetApplyAdvanced", `Apply ControlNet ${number}`, {
    ...conditions,
    control_net: [loader, 0],
    image,
    strength: net.strength,
    start_percent: net.start,
    end_percent: net.end,
    vae,
  });
  return { positive: [applied, 0], negative: [applied, 1] };
}

function preprocess(builder: GraphBuilder, { preprocessor }: ResolvedControlNet, image: Link): Link {
  switch (preprocessor) {
    case "canny":
      return [builder.share("Canny", "Find edges", { image, low_threshold: 0.4, high_threshold: 0.8 }), 0];
    case "invert":
      return [builder.share("ImageInvert", "Invert colours", { image }), 0];
    default:
      return image;
  }
}
