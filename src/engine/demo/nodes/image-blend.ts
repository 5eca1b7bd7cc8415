import { toBytes } from "../picture/bytes.ts";
import type { Pixels } from "../picture/picture.ts";
import { fitted } from "./image.ts";
import type { NodeDefinition } from "./node.ts";

/** What two colours make of each other, from 0 to 1. */
type Blend = (below: number, above: number) => number;

const MODES: Readonly<Record<string, Blend>> = {
  normal: (_, above) => above,
  multiply: (below, above) => below * above,
  screen: (below, above) => 1 - (1 - below) * (1 - above),
  overlay: (below, above) => (below <= 0.5 ? 2 * below * above : 1 - 2 * (1 - below) * (1 - above)),
  soft_light: (below, above) =>
    above <= 0.5
      ? below - (1 - 2 * above) * below * (1 - below)
      : below + (2 * above - 1) * (brightened(below) - below),
  difference: (below, above) => below - above,
};

/** Nodes that mix pictures. */
export const imageBlend: readonly NodeDefinition[] = [
  {
    classType: "ImageBlend",
    displayName: null,
    category: "image/postprocessing",
    pythonModule: "comfy_extras.nodes_post_processing",
    required: {
      image1: { type: "IMAGE" },
      image2: { type: "IMAGE" },
      blend_factor: { type: "FLOAT", options: { default: 0.5, min: 0, max: 1, step: 0.01 } },
      blend_mode: { type: Object.keys(MODES), listForm: "combo" },
    },
    outputs: [{ type: "IMAGE" }],
    run: async (inputs, { draw }) => {
      const below = inputs.value("image1", "IMAGE").images;
      const above = await fitted(inputs.value("image2", "IMAGE").images, below[0], "bicubic", draw);
      const mode = MODES[inputs.text("blend_mode")];
      const factor = inputs.number("blend_factor");
      const images = below.map((pixels, index) => mixed(pixels, above[index % above.length], factor, mode));
      return { values: [{ kind: "IMAGE", images }] };
    },
  },
];

function mixed(below: Pixels, above: Pixels | undefined, factor: number, mode: Blend | undefined): Pixels {
  const numbers = Float32Array.from(below.data, (byte, i) => {
    const old = byte / 255;
    const made = mode?.(old, (above?.data[i] ?? 0) / 255) ?? old;
    return 255 * (old * (1 - factor) + made * factor);
  });
  return { ...below, data: toBytes(numbers) };
}

function brightened(x: number): number {
  return x <= 0.25 ? ((16 * x - 12) * x + 4) * x : Math.sqrt(x);
}
