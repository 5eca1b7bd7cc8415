import { describe, expect, it } from "vitest";
import type { GraphValue } from "./graph.ts";
import { shapeOfGraph } from "./graph-shape.ts";

function shape(inputs: Record<string, GraphValue>): string {
  return shapeOfGraph({
    "1": { class_type: "A", inputs: { steps: 20, model: "m", link: ["2", 0], ...inputs } },
  });
}

describe("shapeOfGraph", () => {
  it.each<[string, Record<string, GraphValue>]>([
    ["a seed", { seed: 1 }],
    ["a seed that is a text", { noise_seed: "1" }],
    ["a prompt", { text: "a fox", text_g: "a fox" }],
    ["an image", { image: "comfyrpc/a.png" }],
    ["the name of a file to save", { filename_prefix: "x" }],
  ])("does not depend on %s", (_what, inputs) => {
    expect(shape(inputs)).toBe(shape({}));
  });

  it.each<[string, Record<string, GraphValue>]>([
    ["a number", { steps: 21 }],
    ["a model", { model: "n" }],
    ["a link", { link: ["2", 1] }],
    ["where a text comes from", { text: ["3", 0] }],
  ])("depends on %s", (_what, inputs) => {
    expect(shape(inputs)).not.toBe(shape({}));
  });
});
