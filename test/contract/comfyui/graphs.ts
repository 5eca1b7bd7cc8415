import { randomInt, randomUUID } from "node:crypto";

/** Graphs in ComfyUI's API format, with the node ids of the recordings: 3 samples, 8 decodes, 9 saves. */

export type Link = readonly [nodeId: string, slot: number];
export type Input = string | number | boolean | null | Link | readonly Input[];

export interface GraphNode {
  class_type: string;
  inputs: Record<string, Input>;
}

export type Graph = Record<string, GraphNode>;

export interface Txt2ImgOptions {
  checkpoint: string;
  seed?: number;
  steps?: number;
  batchSize?: number;
  filenamePrefix?: string;
}

/** Steps of the smallest useful run. */
export const FEW_STEPS = 3;

/** Steps of a prompt that is still sampling whenever a test looks at it. Such a prompt has to be cancelled. */
export const MANY_STEPS = 1_000;

/** A seed that no other test uses, so that no node comes from the cache by accident. Below 2^53. */
export function freshSeed(): number {
  return randomInt(2 ** 48 - 1);
}

/** A prefix for output files that no other test uses; the part before the slash becomes the subfolder. */
export function freshPrefix(): string {
  return `contract/${randomUUID()}`;
}

/** The base graph: checkpoint to PNG at 64 x 64. Seed and prefix are fresh unless given. */
export function txt2img(options: Txt2ImgOptions): Graph {
  const { checkpoint, seed = freshSeed(), steps = FEW_STEPS, batchSize = 1 } = options;
  return {
    "4": { class_type: "CheckpointLoaderSimple", inputs: { ckpt_name: checkpoint } },
    "5": { class_type: "EmptyLatentImage", inputs: { width: 64, height: 64, batch_size: batchSize } },
    "6": { class_type: "CLIPTextEncode", inputs: { text: "a red fox", clip: ["4", 1] } },
    "7": { class_type: "CLIPTextEncode", inputs: { text: "", clip: ["4", 1] } },
    "3": {
      class_type: "KSampler",
      inputs: {
        model: ["4", 0],
        positive: ["6", 0],
        negative: ["7", 0],
        latent_image: ["5", 0],
        seed,
        steps,
        cfg: 7,
        sampler_name: "euler",
        scheduler: "normal",
        denoise: 1,
      },
    },
    "8": { class_type: "VAEDecode", inputs: { samples: ["3", 0], vae: ["4", 2] } },
    "9": saveImage(["8", 0], options.filenamePrefix),
  };
}

/** The base graph starting from an uploaded image, named as `LoadImage` wants it. */
export function img2img(options: Txt2ImgOptions & { image: string }): Graph {
  const { "5": _emptyLatent, ...graph } = txt2img(options);
  return {
    ...withInputs(graph, "3", { latent_image: ["42", 0], denoise: 0.5 }),
    "40": { class_type: "LoadImage", inputs: { image: options.image } },
    "42": { class_type: "VAEEncode", inputs: { pixels: ["40", 0], vae: ["4", 2] } },
  };
}

/** Loads an uploaded image and saves it again, without a model. */
export function copyImage(image: string): Graph {
  return { "1": { class_type: "LoadImage", inputs: { image } }, "9": saveImage(["1", 0]) };
}

export function saveImage(images: Link, filenamePrefix = freshPrefix()): GraphNode {
  return { class_type: "SaveImage", inputs: { images, filename_prefix: filenamePrefix } };
}

/** The same graph, valid still but failing at node 9: a literal stands where only a link makes sense. */
export function failingAtSave(graph: Graph): Graph {
  return withInputs(graph, "9", { images: "not a link" });
}

/** The same graph with some inputs of one node replaced or added. */
export function withInputs(graph: Graph, nodeId: string, inputs: Record<string, Input>): Graph {
  const node = nodeOf(graph, nodeId);
  return { ...graph, [nodeId]: { ...node, inputs: { ...node.inputs, ...inputs } } };
}

/** The same graph without one input of one node. */
export function withoutInput(graph: Graph, nodeId: string, input: string): Graph {
  const { class_type, inputs } = nodeOf(graph, nodeId);
  const kept = Object.entries(inputs).filter(([name]) => name !== input);
  return { ...graph, [nodeId]: { class_type, inputs: Object.fromEntries(kept) } };
}

/** The same graph without one node. */
export function withoutNode(graph: Graph, nodeId: string): Graph {
  return Object.fromEntries(Object.entries(graph).filter(([id]) => id !== nodeId));
}

function nodeOf(graph: Graph, nodeId: string): GraphNode {
  const node = graph[nodeId];
  if (!node) throw new Error(`the graph has no node ${nodeId}`);
  return node;
}
