import { describe, expect, it } from "vitest";
import { drawNow, paintPicture, type Recipe } from "./picture.ts";

const recipe: Recipe = {
  prompt: "a red fox in the snow",
  negativePrompt: "",
  seed: 42n,
  index: 0,
  steps: 20,
  cfg: 7,
  sampler: "euler",
  scheduler: "normal",
  checkpoint: "demo-sd15.safetensors",
  loras: [],
  clipLayer: -1,
  details: [],
  refiner: "",
};

function draw(change: Partial<Recipe> = {}, size = 64): Float32Array {
  return drawNow(paintPicture({ ...recipe, ...change }, size, size)).pixels;
}

/** Mean difference of two pictures, in steps of 255. */
function difference(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, i) => sum + Math.abs(value - (b[i] ?? 0)), 0) / a.length;
}

describe("a picture", () => {
  it("is the same for the same recipe", () => {
    expect(draw()).toEqual(draw());
  });

  it.each<[string, Partial<Recipe>]>([
    ["prompt", { prompt: "a red fox in the desert" }],
    ["unknown words of the prompt", { prompt: "a red fox in the snow, xyzzy" }],
    ["negative prompt", { negativePrompt: "snow" }],
    ["unknown words of the negative prompt", { negativePrompt: "xyzzy" }],
    ["seed", { seed: 43n }],
    ["upper half of the seed", { seed: 42n + (1n << 40n) }],
    ["place in the batch", { index: 1 }],
    ["number of steps", { steps: 8 }],
    ["cfg", { cfg: 12 }],
    ["sampler", { sampler: "dpmpp_2m" }],
    ["scheduler", { scheduler: "karras" }],
    ["checkpoint", { checkpoint: "demo-sdxl.safetensors" }],
    ["clip layer", { clipLayer: -2 }],
    ["details", { details: ["demo-t5xxl.safetensors"] }],
    ["refiner", { refiner: "demo-sdxl_refiner.safetensors" }],
    ["watercolour LoRA", { loras: [{ name: "demo-watercolor.safetensors", strength: 1 }] }],
    ["neon LoRA", { loras: [{ name: "demo-neon.safetensors", strength: 0.8 }] }],
  ])("changes visibly with the %s", (_, change) => {
    expect(difference(draw(change), draw())).toBeGreaterThan(0.5);
  });

  it("changes with the strength of a LoRA", () => {
    const of = (strength: number) => draw({ loras: [{ name: "demo-watercolor.safetensors", strength }] });
    expect(difference(of(0.5), of(1))).toBeGreaterThan(0.5);
  });

  it("shows the same scene at every size", () => {
    const small = draw({}, 64);
    const large = draw({}, 128);
    const halved = small.map((_, i) => {
      const [x, y, channel] = [Math.floor(i / 3) % 64, Math.floor(i / 192), i % 3];
      return large[(y * 2 * 128 + x * 2) * 3 + channel] ?? 0;
    });
    expect(difference(small, halved)).toBeLessThan(8);
  });

  it.each([
    "a red fox in the snow",
    "a wolf and aurora over a snowy forest at night",
    "sailboat on the sea at sunset, birds",
    "cyberpunk city in the rain",
    "galaxy with a planet",
    "desert, hot air balloon",
    "volcano erupting",
    "meadow of poppies in spring",
    "black cat, autumn forest, fog",
    "",
    "狐 🦊 (weight:1.3), <lora:x:1>",
  ])("can be drawn of %j in any shape", (prompt) => {
    for (const [width, height] of [
      [16, 16],
      [8, 200],
      [333, 40],
    ] as const) {
      const { pixels } = drawNow(paintPicture({ ...recipe, prompt }, width, height));
      expect(new Set(pixels.map(Math.round)).size).toBeGreaterThan(8);
    }
  });
});
