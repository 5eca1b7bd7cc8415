import { describe, expect, it } from "vitest";
import { demoClasses } from "../../../test/support/demo-classes.ts";
import type { GraphValue } from "../graph.ts";
import { seedsOf } from "./seeds.ts";

function seedOf(inputs: Record<string, GraphValue>): bigint | undefined {
  const graph = {
    "1": { class_type: "KSampler", inputs: { seed: 1, latent_image: ["2", 0] } },
    "2": { class_type: "KSampler", inputs: { seed: 2, latent_image: ["1", 0] } },
    "3": { class_type: "RandomNoise", inputs: inputs },
    "4": { class_type: "VAEDecode", inputs: { samples: ["3", 0] } },
    "5": { class_type: "SaveImage", inputs: { images: ["4", 0] } },
  };
  return seedsOf(graph, demoClasses).get("5");
}

describe("seedsOf", () => {
  it.each([
    ["the nearest", { noise_seed: 3, x: ["1", 0] }, 3n],
    ["one of 64 bits", { seed: 2n ** 64n - 1n }, 2n ** 64n - 1n],
    ["one that is a text", { seed: "77" }, 77n],
    ["one beyond a link, or beyond what is none", { seed: ["9", 0], noise_seed: 0.5, x: ["2", 0] }, 2n],
    ["that of the noise which another sampler has added", { seed: 9, add_noise: "disable", x: ["2", 0] }, 2n],
    ["the same where a flag says so", { noise_seed: 9, add_noise: false, x: ["2", 0] }, 2n],
    ["one of a sampler that says to add noise", { seed: 9, add_noise: "enable", x: ["2", 0] }, 9n],
    ["one without noise if there is no other", { seed: 9, add_noise: "disable" }, 9n],
    ["none if there is none", { seed: "x" }, undefined],
    ["none that is none", { seed: -1 }, undefined],
  ])("finds %s", (_what, inputs, seed) => {
    expect(seedOf(inputs)).toBe(seed);
  });

  it("finds those of output nodes only", () => {
    expect(seedsOf({ "1": { class_type: "KSampler", inputs: { seed: 1 } } }, demoClasses)).toEqual(new Map());
  });

  it("prefers the one behind the earlier inputs of two that are as near", () => {
    const graph = {
      "1": { class_type: "KSampler", inputs: { seed: 1 } },
      "2": { class_type: "KSampler", inputs: { seed: 2 } },
      "3": { class_type: "VAEDecode", inputs: { samples: ["1", 0] } },
      "4": { class_type: "VAEDecode", inputs: { samples: ["2", 0] } },
      "5": { class_type: "ImageBatch", inputs: { image1: ["4", 0], image2: ["3", 0] } },
      "6": { class_type: "SaveImage", inputs: { images: ["5", 0] } },
    };
    expect(seedsOf(graph, demoClasses)).toEqual(new Map([["6", 2n]]));
  });

  it("walks a graph once, however many outputs it has", () => {
    const chain = Array.from({ length: 5_000 }, (_, i) => [
      `n${i}`,
      { class_type: "ImageInvert", inputs: { image: [`n${i + 1}`, 0] } },
    ]);
    const savers = Array.from({ length: 5_000 }, (_, i) => [
      `s${i}`,
      { class_type: "SaveImage", inputs: { images: ["n0", 0] } },
    ]);
    let looks = 0;
    const nodes = Object.fromEntries([...chain, ...savers]);
    const graph = new Proxy(nodes, {
      get: (target, id, receiver) => {
        looks += 1;
        return Reflect.get(target, id, receiver);
      },
    });
    expect(seedsOf(graph, demoClasses)).toEqual(new Map());
    expect(looks).toBeLessThan(100_000);
  });
});
