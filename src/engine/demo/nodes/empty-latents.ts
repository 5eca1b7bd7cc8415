import { latentOf } from "./encode.ts";
import { reserve } from "./memory.ts";
import type { InputSpec, NodeDefinition, NodeInputs, NodeResult } from "./node.ts";

/** Nodes that make latent images with nothing in them: each for models that work on blocks of another size. */
export const emptyLatents: readonly NodeDefinition[] = [
  {
    classType: "EmptyLatentImage",
    displayName: "Empty Latent Image",
    category: "latent",
    required: { width: size(512, 16, 8), height: size(512, 16, 8), batch_size: batchSize() },
    outputs: [{ type: "LATENT" }],
    run: (inputs) => blank(inputs, 8),
  },
  {
    classType: "EmptySD3LatentImage",
    displayName: null,
    category: "latent/sd3",
    pythonModule: "comfy_extras.nodes_sd3",
    required: { width: size(1024, 16, 16), height: size(1024, 16, 16), batch_size: batchSize() },
    outputs: [{ type: "LATENT" }],
    run: (inputs) => blank(inputs, 8),
  },
  {
    classType: "EmptyFlux2LatentImage",
    displayName: "Empty Flux 2 Latent",
    category: "latent",
    pythonModule: "comfy_extras.nodes_flux",
    required: { width: size(1024, 16, 16), height: size(1024, 16, 16), batch_size: batchSize() },
    outputs: [{ type: "LATENT" }],
    run: (inputs) => blank(inputs, 16),
  },
  {
    classType: "EmptyHunyuanImageLatent",
    displayName: "EmptyHunyuanImageLatent",
    category: "latent",
    pythonModule: "comfy_extras.nodes_hunyuan",
    required: { width: size(2048, 64, 32), height: size(2048, 64, 32), batch_size: batchSize() },
    outputs: [{ type: "LATENT" }],
    run: (inputs) => blank(inputs, 32),
  },
];

/** @param blockPx side of the blocks that are worked on; what is left over is cut off */
function blank(inputs: NodeInputs, blockPx: number): NodeResult {
  const [width = 0, height = 0] = ["width", "height"].map(
    (name) => Math.floor(inputs.integer(name) / blockPx) * blockPx,
  );
  const batchSize = inputs.integer("batch_size");
  reserve(width, height, batchSize);
  return { values: [{ ...latentOf([]), width, height, batchSize, canvases: undefined }] };
}

function size(preset: number, min: number, step: number): InputSpec {
  return { type: "INT", options: { default: preset, min, max: 16384, step } };
}

function batchSize(): InputSpec {
  return { type: "INT", options: { default: 1, min: 1, max: 4096 } };
}
