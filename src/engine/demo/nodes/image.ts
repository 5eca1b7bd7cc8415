import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import sharp, { type KernelEnum } from "sharp";
import type { Pixels } from "../picture/picture.ts";
import { pythonText } from "../python.ts";
import type { InputSpec, NodeDefinition } from "./node.ts";
import type { Mask } from "./value.ts";

/** Nodes that read and change pictures. */
export const image: readonly NodeDefinition[] = [
  {
    classType: "LoadImage",
    displayName: "Load Image",
    category: "image",
    required: { image: { type: ({ files }) => files.inputs(), options: { image_upload: true } } },
    outputs: [{ type: "IMAGE" }, { type: "MASK" }],
    checks: {
      image: (value, { files }) =>
        typeof value === "string" && existsSync(files.pathOf(value))
          ? undefined
          : `Invalid image file: ${pythonText(value)}`,
    },
    markOf: async (inputs, { files }) =>
      createHash("sha256")
        .update(await readFile(files.pathOf(inputs.text("image"))))
        .digest("hex"),
    run: async (inputs, { files }) => {
      const content = await readFile(files.pathOf(inputs.text("image")));
      const loaded = await loadPicture(content);
      return { values: [{ kind: "IMAGE", images: [loaded.pixels] }, loaded.mask] };
    },
  },
  {
    classType: "EmptyImage",
    displayName: "EmptyImage",
    category: "image",
    required: {
      width: pixelCount(1),
      height: pixelCount(1),
      batch_size: { type: "INT", options: { default: 1, min: 1, max: 4096 } },
      color: { type: "INT", options: { default: 0, min: 0, max: 0xffffff, step: 1, display: "color" } },
    },
    outputs: [{ type: "IMAGE" }],
    run: (inputs) => {
      const pixels = plain(inputs.integer("width"), inputs.integer("height"), inputs.integer("color"));
      return { values: [{ kind: "IMAGE", images: Array(inputs.integer("batch_size")).fill(pixels) }] };
    },
  },
  {
    classType: "ImageScale",
    displayName: "Upscale Image",
    category: "image/upscaling",
    required: {
      image: { type: "IMAGE" },
      upscale_method: upscaleMethod(),
      width: pixelCount(0),
      height: pixelCount(0),
      crop: { type: ["disabled", "center"] },
    },
    outputs: [{ type: "IMAGE" }],
    run: async (inputs) => {
      const { images } = inputs.value("image", "IMAGE");
      const method = inputs.text("upscale_method");
      const fit = inputs.text("crop") === "center" ? "cover" : "fill";
      const wanted = [inputs.integer("width"), inputs.integer("height")] as const;
      return {
        values: [
          {
            kind: "IMAGE",
            images: await Promise.all(images.map((pixels) => resize(pixels, ...wanted, method, fit))),
          },
        ],
      };
    },
  },
  {
    classType: "ImageScaleBy",
    displayName: "Upscale Image By",
    category: "image/upscaling",
    required: {
      image: { type: "IMAGE" },
      upscale_method: upscaleMethod(),
      scale_by: { type: "FLOAT", options: { default: 1, min: 0.01, max: 8, step: 0.01 } },
    },
    outputs: [{ type: "IMAGE" }],
    run: async (inputs) => {
      const { images } = inputs.value("image", "IMAGE");
      const factor = inputs.number("scale_by");
      const method = inputs.text("upscale_method");
      const scaled = images.map((pixels) =>
        resize(pixels, Math.round(pixels.width * factor), Math.round(pixels.height * factor), method, "fill"),
      );
      return { values: [{ kind: "IMAGE", images: await Promise.all(scaled) }] };
    },
  },
];

/** sharp's counterpart of each method. */
const KERNELS: Readonly<Record<string, keyof KernelEnum>> = {
  "nearest-exact": "nearest",
  bilinear: "linear",
  area: "mitchell",
  bicubic: "cubic",
  lanczos: "lanczos3",
};

/** A width or height of 0 follows from the other one; both 0 leave the picture as it is. */
async function resize(
  pixels: Pixels,
  width: number,
  height: number,
  method: string,
  fit: "cover" | "fill",
): Promise<Pixels> {
  if (width === 0 && height === 0) {
    return pixels;
  }
  const target = {
    width: width || Math.max(1, Math.round((pixels.width * height) / pixels.height)),
    height: height || Math.max(1, Math.round((pixels.height * width) / pixels.width)),
  };
  const data = await sharp(pixels.data, { raw: { width: pixels.width, height: pixels.height, channels: 3 } })
    .resize({ ...target, fit, kernel: KERNELS[method] ?? "cubic" })
    .raw()
    .toBuffer();
  return { ...target, data };
}

async function loadPicture(content: Buffer): Promise<{ readonly pixels: Pixels; readonly mask: Mask }> {
  const { data, info } = await sharp(content)
    .rotate()
    .toColourspace("srgb")
    .ensureAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  const { width, height } = info;
  const { hasAlpha } = await sharp(content).metadata();
  const rgb = new Uint8Array(width * height * 3);
  const alpha = new Float32Array(width * height);
  for (let i = 0; i < alpha.length; i++) {
    rgb.set(data.subarray(i * 4, i * 4 + 3), i * 3);
    alpha[i] = 1 - (data[i * 4 + 3] ?? 255) / 255;
  }
  // Without an alpha channel ComfyUI gives a mask of 64 × 64 zeros, whatever the size of the picture.
  const plane = hasAlpha
    ? { width, height, data: alpha }
    : { width: 64, height: 64, data: new Float32Array(64 * 64) };
  return { pixels: { width, height, data: rgb }, mask: { kind: "MASK", planes: [plane] } };
}

function plain(width: number, height: number, colour: number): Pixels {
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < data.length; i += 3) {
    data[i] = (colour >> 16) & 255;
    data[i + 1] = (colour >> 8) & 255;
    data[i + 2] = colour & 255;
  }
  return { width, height, data };
}

function pixelCount(min: number): InputSpec {
  return { type: "INT", options: { default: 512, min, max: 16384, step: 1 } };
}

function upscaleMethod(): InputSpec {
  return { type: ["nearest-exact", "bilinear", "area", "bicubic", "lanczos"] };
}
