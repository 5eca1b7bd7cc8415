import { developPicture } from "../picture/develop.ts";
import { growSquare } from "../picture/grow.ts";
import { hashPair, hashSeed } from "../picture/random.ts";
import { encode, erased, maskFor } from "./encode.ts";
import { blankCanvas } from "./latent-painter.ts";
import type { InputSpec, NodeContext, NodeDefinition, NodeInputs, NodeResult } from "./node.ts";

/** Nodes that turn pictures into latent images and back. */
export const vae: readonly NodeDefinition[] = [
  {
    classType: "VAEDecode",
    displayName: "VAE Decode",
    category: "latent",
    required: { samples: { type: "LATENT" }, vae: { type: "VAE" } },
    outputs: [{ type: "IMAGE" }],
    run: (inputs, { draw }) => decode(inputs, draw),
  },
  {
    classType: "VAEDecodeTiled",
    displayName: "VAE Decode (Tiled)",
    category: "_for_testing",
    required: { samples: { type: "LATENT" }, vae: { type: "VAE" }, ...tiling(32) },
    outputs: [{ type: "IMAGE" }],
    run: (inputs, { draw }) => decode(inputs, draw),
  },
  {
    classType: "VAEEncode",
    displayName: "VAE Encode",
    category: "latent",
    required: { pixels: { type: "IMAGE" }, vae: { type: "VAE" } },
    outputs: [{ type: "LATENT" }],
    run: (inputs, { draw }) => encodeAll(inputs, draw),
  },
  {
    classType: "VAEEncodeTiled",
    displayName: "VAE Encode (Tiled)",
    category: "_for_testing",
    required: { pixels: { type: "IMAGE" }, vae: { type: "VAE" }, ...tiling(64) },
    outputs: [{ type: "LATENT" }],
    run: (inputs, { draw }) => encodeAll(inputs, draw),
  },
  {
    classType: "VAEEncodeForInpaint",
    displayName: "VAE Encode (for Inpainting)",
    category: "latent/inpaint",
    required: {
      pixels: { type: "IMAGE" },
      vae: { type: "VAE" },
      mask: { type: "MASK" },
      grow_mask_by: { type: "INT", options: { default: 6, min: 0, max: 64, step: 1 } },
    },
    outputs: [{ type: "LATENT" }],
    run: async (inputs, { draw }) => {
      const { images } = inputs.value("pixels", "IMAGE");
      const planes = await maskFor(inputs.value("mask", "MASK"), images, draw);
      const latent = await encode(erased(images, planes), inputs.value("vae", "VAE"), draw);
      const grown = planes.map((plane) => growSquare(plane, inputs.integer("grow_mask_by")));
      return { values: [{ ...latent, noiseMask: { kind: "MASK", planes: grown } }] };
    },
  },
];

async function decode(inputs: NodeInputs, draw: NodeContext["draw"]): Promise<NodeResult> {
  const { canvases, batchSize, width, height, noise, seed } = inputs.value("samples", "LATENT");
  const { name } = inputs.value("vae", "VAE");
  const images = [];
  for (let index = 0; index < batchSize; index++) {
    const canvas = canvases?.[index] ?? blankCanvas(width, height);
    const noiseSeed = hashPair(hashSeed(seed ?? 0n), index);
    images.push(await draw(developPicture(canvas, { noise, noiseSeed, vae: name })));
  }
  return { values: [{ kind: "IMAGE", images }] };
}

async function encodeAll(inputs: NodeInputs, draw: NodeContext["draw"]): Promise<NodeResult> {
  const { images } = inputs.value("pixels", "IMAGE");
  return { values: [await encode(images, inputs.value("vae", "VAE"), draw)] };
}

/** How large pictures are cut up. What the engine draws is the same without. */
function tiling(step: number): Readonly<Record<string, InputSpec>> {
  return {
    tile_size: { type: "INT", options: { default: 512, min: 64, max: 4096, step } },
    overlap: { type: "INT", options: { default: 64, min: 0, max: 4096, step: 32 } },
    temporal_size: { type: "INT", options: { default: 64, min: 8, max: 4096, step: 4 } },
    temporal_overlap: { type: "INT", options: { default: 8, min: 4, max: 4096, step: 4 } },
  };
}
