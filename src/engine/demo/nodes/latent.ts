import type { Canvas } from "../picture/canvas.ts";
import { type Box, crop } from "../picture/crop.ts";
import { absorbPicture, developPicture } from "../picture/develop.ts";
import type { Pixels } from "../picture/picture.ts";
import { hashPair, hashSeed } from "../picture/random.ts";
import { outOfMemory, PythonError } from "../python.ts";
import { blankCanvas, LATENT_CELL_PX } from "./latent-painter.ts";
import type { InputSpec, NodeContext, NodeDefinition, NodeInputs, NodeResult } from "./node.ts";
import type { Latent, Vae } from "./value.ts";

/** Nodes that make latent images, and turn them into pictures and back. */
export const latent: readonly NodeDefinition[] = [
  {
    classType: "EmptyLatentImage",
    displayName: "Empty Latent Image",
    category: "latent",
    required: { width: size(512, 8), height: size(512, 8), batch_size: batchSize() },
    outputs: [{ type: "LATENT" }],
    run: (inputs) => ({ values: [blank(inputs)] }),
  },
  {
    classType: "EmptySD3LatentImage",
    displayName: null,
    category: "latent/sd3",
    pythonModule: "comfy_extras.nodes_sd3",
    required: { width: size(1024, 16), height: size(1024, 16), batch_size: batchSize() },
    outputs: [{ type: "LATENT" }],
    run: (inputs) => ({ values: [blank(inputs)] }),
  },
  {
    classType: "VAEDecode",
    displayName: "VAE Decode",
    category: "latent",
    required: { samples: { type: "LATENT" }, vae: { type: "VAE" } },
    outputs: [{ type: "IMAGE" }],
    run: (inputs, { draw }) => decode(inputs, draw),
  },
  {
    classType: "VAEEncode",
    displayName: "VAE Encode",
    category: "latent",
    required: { pixels: { type: "IMAGE" }, vae: { type: "VAE" } },
    outputs: [{ type: "LATENT" }],
    run: async (inputs, { draw }) => {
      const { images } = inputs.value("pixels", "IMAGE");
      return { values: [await encode(images, inputs.value("vae", "VAE"), draw)] };
    },
  },
];

type Draw = NodeContext["draw"];

async function decode(inputs: NodeInputs, draw: Draw): Promise<NodeResult> {
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

/** As in ComfyUI, what goes beyond a multiple of 8 pixels is cut off, on both sides by the same. */
async function encode(images: readonly Pixels[], vae: Vae, draw: Draw): Promise<Latent> {
  const canvases: Canvas[] = [];
  for (const image of images) {
    canvases.push(await draw(absorbPicture(crop(image, latentBoxOf(image)), vae.name)));
  }
  return latentOf(canvases);
}

/** Pixels of one prompt that fit into the engine's memory. */
const MOST_PIXELS = 64 * 1024 * 1024;

/** The part of a picture that latent images can show. */
function latentBoxOf({ width, height }: Pixels): Box {
  const box = {
    left: (width % LATENT_CELL_PX) >> 1,
    top: (height % LATENT_CELL_PX) >> 1,
    width: toLatentSize(width),
    height: toLatentSize(height),
  };
  if (box.width === 0 || box.height === 0) {
    throw new PythonError(
      "RuntimeError",
      `Calculated padded input size per channel: (${height} x ${width}).`,
    );
  }
  return box;
}

function latentOf(canvases: readonly Canvas[]): Latent {
  const [first] = canvases;
  return {
    kind: "LATENT",
    width: first?.width ?? 0,
    height: first?.height ?? 0,
    batchSize: canvases.length,
    canvases,
    noise: 0,
    seed: undefined,
    noiseMask: undefined,
    places: undefined,
  };
}

/** Pixels are worked on in blocks; what is left over is cut off. */
function toLatentSize(pixels: number): number {
  return Math.floor(pixels / LATENT_CELL_PX) * LATENT_CELL_PX;
}

function blank(inputs: NodeInputs): Latent {
  const width = toLatentSize(inputs.integer("width"));
  const height = toLatentSize(inputs.integer("height"));
  const batch = inputs.integer("batch_size");
  if (width * height * batch > MOST_PIXELS) {
    throw outOfMemory();
  }
  return { ...latentOf([]), width, height, batchSize: batch, canvases: undefined };
}

function size(preset: number, step: number): InputSpec {
  return { type: "INT", options: { default: preset, min: 16, max: 16384, step } };
}

function batchSize(): InputSpec {
  return { type: "INT", options: { default: 1, min: 1, max: 4096 } };
}
