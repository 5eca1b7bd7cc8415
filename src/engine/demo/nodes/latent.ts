import { drawSource } from "../picture/picture.ts";
import { outOfMemory } from "../python.ts";
import type { InputSpec, NodeDefinition, NodeInputs } from "./node.ts";
import type { Latent } from "./value.ts";

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
    run: async (inputs, { draw }) => {
      const samples = inputs.value("samples", "LATENT");
      const vae = inputs.value("vae", "VAE");
      const images = [];
      for (let index = 0; index < samples.batchSize; index++) {
        const development = { noise: samples.noise, vae: vae.name };
        images.push(
          await draw(drawSource(samples.source, index, samples.width, samples.height, development)),
        );
      }
      return { values: [{ kind: "IMAGE", images }] };
    },
  },
  {
    classType: "VAEEncode",
    displayName: "VAE Encode",
    category: "latent",
    required: { pixels: { type: "IMAGE" }, vae: { type: "VAE" } },
    outputs: [{ type: "LATENT" }],
    run: (inputs) => {
      const { images } = inputs.value("pixels", "IMAGE");
      inputs.value("vae", "VAE");
      const [first] = images;
      return {
        values: [
          {
            kind: "LATENT",
            width: toLatentSize(first?.width ?? 8),
            height: toLatentSize(first?.height ?? 8),
            batchSize: images.length,
            source: { kind: "pixels", images },
            noise: 0,
          },
        ],
      };
    },
  },
];

/** Pixels of one prompt that fit into the engine's memory. */
const MOST_PIXELS = 64 * 1024 * 1024;

/** Pixels are worked on in blocks of eight; what is left over is cut off. */
function toLatentSize(pixels: number): number {
  return Math.max(1, Math.floor(pixels / 8)) * 8;
}

function blank(inputs: NodeInputs): Latent {
  const width = toLatentSize(inputs.integer("width"));
  const height = toLatentSize(inputs.integer("height"));
  const batch = inputs.integer("batch_size");
  if (width * height * batch > MOST_PIXELS) {
    throw outOfMemory();
  }
  return { kind: "LATENT", width, height, batchSize: batch, source: { kind: "blank" }, noise: 0 };
}

function size(preset: number, step: number): InputSpec {
  return { type: "INT", options: { default: preset, min: 16, max: 16384, step } };
}

function batchSize(): InputSpec {
  return { type: "INT", options: { default: 1, min: 1, max: 4096 } };
}
