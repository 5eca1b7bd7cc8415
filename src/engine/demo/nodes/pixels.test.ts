import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import type { Json } from "../json.ts";
import { growSquare } from "../picture/grow.ts";
import { drawNow } from "../picture/picture.ts";
import { resample } from "../picture/resample.ts";
import { runNode, testPicture } from "../testing/run-node.ts";
import { isOfKind } from "./node.ts";
import type { Mask, Value } from "./value.ts";

/** A picture or mask to be made for an input, or a value as it is. */
const input = z.union([
  z.object({ kind: z.literal("picture"), width: z.int(), height: z.int(), seeds: z.array(z.int()) }),
  z.object({ kind: z.literal("mask"), width: z.int(), height: z.int(), seed: z.int() }),
  z.object({ kind: z.literal("blob"), width: z.int(), height: z.int() }),
  z.string(),
  z.number(),
  z.boolean(),
]);

const run = z.object({
  classType: z.string(),
  inputs: z.record(z.string(), input),
  outputs: z.array(
    z.object({
      kind: z.enum(["IMAGE", "MASK"]),
      batch: z.int(),
      width: z.int(),
      height: z.int(),
      data: z.array(z.number()),
    }),
  ),
});

/** What nodes of a ComfyUI 0.3.64 make of small pictures: bytes as SaveImage writes them, and masks in six digits. */
const recorded = readFileSync(new URL("../testdata/node-pixels.jsonl", import.meta.url), "utf8")
  .trimEnd()
  .split("\n")
  .map((line) => run.parse(JSON.parse(line)));

/** ComfyUI cuts fractions off that its arithmetic has left just below a whole number. */
const LAST_STEP = 1;

describe("a node of pictures and masks", () => {
  it.each(recorded.map((wanted) => [wanted.classType, JSON.stringify(wanted.inputs), wanted] as const))(
    "%s makes of %s what ComfyUI makes of it",
    async (classType, _inputs, wanted) => {
      const inputs = Object.entries(wanted.inputs).map(([name, given]) => [name, valueFor(given)] as const);
      const { values } = await runNode(classType, Object.fromEntries(inputs));
      expect(values.length).toBe(wanted.outputs.length);
      for (const [index, output] of wanted.outputs.entries()) {
        const { kind, batch, width, height, data } = numbersOf(values[index]);
        expect({ kind, batch, width, height }).toEqual({
          kind: output.kind,
          batch: output.batch,
          width: output.width,
          height: output.height,
        });
        const worst = output.data.reduce(
          (most, number, i) => Math.max(most, Math.abs(number - (data[i] ?? 0))),
          0,
        );
        expect(worst).toBeLessThanOrEqual(output.kind === "IMAGE" ? LAST_STEP : 2e-6);
      }
    },
  );
});

describe("a node that scales by its own reckoning", () => {
  const image = { kind: "IMAGE", images: [testPicture(16, 9)] } as const;

  it.each([
    ["ImageScaleToTotalPixels", { image, upscale_method: "area", megapixels: 0.01 }, 137, 77],
    ["ImageScaleBy", { image, upscale_method: "lanczos", scale_by: 1.5 }, 24, 14],
    ["ImageUpscaleWithModel", { image, upscale_model: { kind: "UPSCALE_MODEL", scale: 4 } }, 64, 36],
  ] as const)("%s reaches the size", async (classType, inputs, width, height) => {
    const { values } = await runNode(classType, { ...inputs });
    expect(values).toMatchObject([{ images: [{ width, height }] }]);
  });

  it("keeps what is to be seen when it enlarges by a model", async () => {
    const { values } = await runNode("ImageUpscaleWithModel", {
      image: { kind: "IMAGE", images: [smooth(16, 12)] },
      upscale_model: { kind: "UPSCALE_MODEL", scale: 4 },
    });
    const { data } = numbersOf(values[0]);
    const large = { width: 64, height: 48, channels: 3, data: Float32Array.from(data) };
    const small = drawNow(resample(large, 16, 12, "area"));
    const worst = smooth(16, 12).data.reduce(
      (most, byte, i) => Math.max(most, Math.abs(byte - (small[i] ?? 0))),
      0,
    );
    expect(worst).toBeLessThan(6);
  });

  it.each([
    ["ImageScaleBy", { image, upscale_method: "area", scale_by: 0.01 }, "greater than 0"],
    [
      "ImageScale",
      { image, upscale_method: "area", width: 16384, height: 16384, crop: "disabled" },
      "Allocation",
    ],
    ["ImageUpscaleWithModel", { image, upscale_model: { kind: "UPSCALE_MODEL", scale: 4000 } }, "Allocation"],
    ["ImageBlur", { image, blur_radius: 9, sigma: 1 }, "Padding size"],
    ["ImageToMask", { image, channel: "alpha" }, "index 3 is out of bounds"],
    ["CropMask", { mask: solid(4, 4), x: 4, y: 0, width: 2, height: 2 }, "empty"],
  ] as const)("fails when %s cannot do it", async (classType, inputs, message) => {
    await expect(runNode(classType, { ...inputs })).rejects.toThrow(message);
  });
});

describe("a mask that grows for an inpaint", () => {
  it.each([
    [0, [3]],
    [1, [3]],
    [2, [3, 4]],
    [3, [2, 3, 4]],
    [6, [1, 2, 3, 4, 5, 6]],
  ])("by %i reaches %j", (size, reached) => {
    const data = Float32Array.from({ length: 8 }, (_, x) => (x === 3 ? 0.6 : 0.5));
    const grown = growSquare({ width: 8, height: 1, data }, size).data;
    expect([...grown.keys()].filter((x) => grown[x] === 1)).toEqual(reached);
  });
});

function valueFor(given: z.infer<typeof input>): string | number | boolean | Value {
  if (typeof given !== "object") {
    return given;
  }
  const { width, height } = given;
  if (given.kind === "picture") {
    return { kind: "IMAGE", images: given.seeds.map((seed) => testPicture(width, height, seed)) };
  }
  const data = Float32Array.from({ length: width * height }, (_, i) =>
    given.kind === "mask" ? ((i * 37 * given.seed) % 11) / 10 : blobAt(i % width, Math.floor(i / width)),
  );
  return { kind: "MASK", planes: [{ width, height, data }] };
}

/** A light rectangle, and a pixel that is less light. */
function blobAt(x: number, y: number): number {
  return x >= 3 && x < 6 && y >= 2 && y < 4 ? 1 : x === 1 && y === 5 ? 0.6 : 0;
}

function numbersOf(value: Value | Json | undefined) {
  const kind = isOfKind(value, "IMAGE") ? "IMAGE" : "MASK";
  const parts = isOfKind(value, "IMAGE") ? value.images : isOfKind(value, "MASK") ? value.planes : [];
  const [first] = parts;
  const data = parts.flatMap((part) => [...part.data]);
  return { kind, batch: parts.length, width: first?.width, height: first?.height, data };
}

function smooth(width: number, height: number) {
  const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => {
    const [x, y] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width)];
    return 128 + 90 * Math.sin(x / 3) * Math.cos(y / 4);
  });
  return { width, height, data };
}

function solid(width: number, height: number): Mask {
  return { kind: "MASK", planes: [{ width, height, data: new Float32Array(width * height).fill(1) }] };
}
