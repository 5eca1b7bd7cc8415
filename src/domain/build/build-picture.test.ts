import { describe, expect, it } from "vitest";
import { buildPicture } from "../../../test/support/generations.ts";
import type { ResolvedPicture } from "../generation.ts";
import { hashGraph } from "../graph-hash.ts";
import { buildPicture as buildPlan } from "./build-picture.ts";

const base = buildPicture({ negativePrompt: "blurry", heightPx: 768, cfg: 7 });

function inputsOf(picture: ResolvedPicture) {
  const { graph } = buildPlan(picture, "p");
  return Object.fromEntries(Object.entries(graph).map(([id, node]) => [id, [node.class_type, node.inputs]]));
}

describe("buildPicture", () => {
  it("builds ComfyUI's canonical graph", () => {
    expect(inputsOf(base)).toEqual({
      4: ["CheckpointLoaderSimple", { ckpt_name: "sd15.safetensors" }],
      5: ["EmptyLatentImage", { width: 512, height: 768, batch_size: 1 }],
      6: ["CLIPTextEncode", { text: "a red fox", clip: ["4", 1] }],
      7: ["CLIPTextEncode", { text: "blurry", clip: ["4", 1] }],
      3: [
        "KSampler",
        {
          model: ["4", 0],
          positive: ["6", 0],
          negative: ["7", 0],
          latent_image: ["5", 0],
          seed: 18446744073709551615n,
          steps: 20,
          cfg: 7,
          sampler_name: "euler",
          scheduler: "normal",
          denoise: 1,
        },
      ],
      8: ["VAEDecode", { samples: ["3", 0], vae: ["4", 2] }],
      9: ["SaveImage", { images: ["8", 0], filename_prefix: "p_0" }],
    });
  });

  it("leads model and CLIP through LoRAs in their order, then skips layers, and takes the given VAE", () => {
    const nodes = inputsOf({
      ...base,
      loras: [
        { name: "a", modelStrength: 1, clipStrength: 0.5 },
        { name: "b", modelStrength: -1, clipStrength: -1 },
      ],
      clipSkip: 2,
      vae: "vae",
    });
    expect(nodes).toMatchObject({
      10: [
        "LoraLoader",
        { model: ["4", 0], clip: ["4", 1], lora_name: "a", strength_model: 1, strength_clip: 0.5 },
      ],
      11: ["LoraLoader", { model: ["10", 0], clip: ["10", 1], lora_name: "b" }],
      12: ["CLIPSetLastLayer", { clip: ["11", 1], stop_at_clip_layer: -2 }],
      6: ["CLIPTextEncode", { clip: ["12", 0] }],
      7: ["CLIPTextEncode", { clip: ["12", 0] }],
      3: ["KSampler", { model: ["11", 0] }],
      13: ["VAELoader", { vae_name: "vae" }],
      8: ["VAEDecode", { vae: ["13", 0] }],
    });
  });

  it("draws each image with a seed of its own that wraps at 2^64", () => {
    const { graph, images } = buildPlan({ ...base, imageCount: 3 }, "p");
    expect(images.map(({ seed }) => seed)).toEqual([2n ** 64n - 1n, 0n, 1n]);
    expect(images.map(({ samplerNodeIds: [sampler = ""] }) => graph[sampler]?.inputs.seed)).toEqual([
      2n ** 64n - 1n,
      0n,
      1n,
    ]);
    expect(new Set(images.map(({ saveNodeId }) => graph[saveNodeId]?.inputs.filename_prefix)).size).toBe(3);
  });

  it("uses no node id twice, however much is asked for", () => {
    const loras = Array.from({ length: 16 }, (_, i) => ({ name: `${i}`, modelStrength: 1, clipStrength: 1 }));
    const { graph } = buildPlan({ ...base, imageCount: 10, loras, clipSkip: 1, vae: "v" }, "p");
    expect(Object.keys(graph)).toHaveLength(4 + 16 + 2 + 3 * 10);
  });
});

describe("hashGraph", () => {
  it("is the same for equal work under other file names, and another for another seed", () => {
    const hash = hashGraph(buildPlan(base, "p").graph);
    expect(hash).toMatch(/^[0-9a-f]{64}$/);
    expect(hashGraph(buildPlan(base, "q").graph)).toBe(hash);
    expect(hashGraph(buildPlan({ ...base, seed: 2n ** 64n - 2n }, "p").graph)).not.toBe(hash);
  });
});
