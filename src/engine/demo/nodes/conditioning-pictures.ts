import { developPicture } from "../picture/develop.ts";
import { type Hint, readHint } from "../picture/trace.ts";
import { withEach } from "./conditioning.ts";
import { encode, erased, maskFor } from "./encode.ts";
import type { NodeContext, NodeDefinition, NodeInputs, NodeResult } from "./node.ts";
import type { Latent } from "./value.ts";

/** How much of a picture a model keeps that is asked to edit it. */
const FAITH_TO_REFERENCE = 0.6;

/** Nodes that show pictures to a model beside the text. */
export const conditioningPictures: readonly NodeDefinition[] = [
  {
    classType: "InpaintModelConditioning",
    displayName: "InpaintModelConditioning",
    category: "conditioning/inpaint",
    required: {
      positive: { type: "CONDITIONING" },
      negative: { type: "CONDITIONING" },
      vae: { type: "VAE" },
      pixels: { type: "IMAGE" },
      mask: { type: "MASK" },
      noise_mask: { type: "BOOLEAN", options: { default: true } },
    },
    outputs: [
      { type: "CONDITIONING", name: "positive" },
      { type: "CONDITIONING", name: "negative" },
      { type: "LATENT", name: "latent" },
    ],
    run: showSurroundings,
  },
  {
    classType: "ReferenceLatent",
    displayName: null,
    category: "advanced/conditioning/edit_models",
    pythonModule: "comfy_extras.nodes_edit_model",
    required: { conditioning: { type: "CONDITIONING" } },
    optional: { latent: { type: "LATENT" } },
    outputs: [{ type: "CONDITIONING" }],
    run: async (inputs, context) => {
      const conditioning = inputs.value("conditioning", "CONDITIONING");
      if (!inputs.isGiven("latent")) {
        return { values: [conditioning] };
      }
      const hints = await seen(inputs.value("latent", "LATENT"), context);
      const reference = { hints, strength: FAITH_TO_REFERENCE, steps: { start: 0, end: 1 } };
      return { values: [withEach(conditioning, ({ controls }) => ({ controls: [...controls, reference] }))] };
    },
  },
];

async function showSurroundings(inputs: NodeInputs, { draw }: NodeContext): Promise<NodeResult> {
  const { images } = inputs.value("pixels", "IMAGE");
  const vae = inputs.value("vae", "VAE");
  const planes = await maskFor(inputs.value("mask", "MASK"), images, draw);
  const around = await encode(erased(images, planes), vae, draw);
  const surroundings = { canvases: around.canvases ?? [], masks: planes };
  const latent = await encode(images, vae, draw);
  return {
    values: [
      withEach(inputs.value("positive", "CONDITIONING"), () => ({ surroundings })),
      withEach(inputs.value("negative", "CONDITIONING"), () => ({ surroundings })),
      inputs.flag("noise_mask") ? { ...latent, noiseMask: { kind: "MASK", planes } } : latent,
    ],
  };
}

async function seen({ canvases = [] }: Latent, { draw }: NodeContext): Promise<readonly Hint[]> {
  const hints: Hint[] = [];
  for (const canvas of canvases) {
    const pixels = await draw(developPicture(canvas, { noise: 0, noiseSeed: 0, vae: "" }));
    hints.push(await draw(readHint(pixels, "colours")));
  }
  return hints;
}
