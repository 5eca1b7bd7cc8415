import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import sharp from "sharp";
import type { Json } from "../json.ts";
import type { Pixels } from "../picture/picture.ts";
import type { Plane } from "../picture/plane.ts";
import { PythonError, pythonText } from "../python.ts";
import type { InputSpec, NodeDefinition, NodeInputs, Surroundings } from "./node.ts";

/** Nodes that read pictures from files. */
export const loadImage: readonly NodeDefinition[] = [
  {
    classType: "LoadImage",
    displayName: "Load Image",
    category: "image",
    required: { image: pictureFile((name) => PICTURE.test(name)) },
    outputs: [{ type: "IMAGE" }, { type: "MASK" }],
    checks: { image: missing },
    markOf,
    run: async (inputs, { files }) => {
      const frames = await readFrames(files.pathOf(inputs.text("image")));
      return {
        values: [
          { kind: "IMAGE", images: frames.map(rgbOf) },
          {
            kind: "MASK",
            planes: frames.map((frame) => (frame.hasAlpha ? transparencyOf(frame) : noMask())),
          },
        ],
      };
    },
  },
  {
    classType: "LoadImageMask",
    displayName: "Load Image (as Mask)",
    category: "mask",
    required: {
      image: pictureFile(() => true),
      channel: { type: ["alpha", "red", "green", "blue"] },
    },
    outputs: [{ type: "MASK" }],
    checks: { image: missing },
    markOf,
    run: async (inputs, { files }) => {
      const [frame] = await readFrames(files.pathOf(inputs.text("image")));
      const channel = ["red", "green", "blue"].indexOf(inputs.text("channel"));
      const plane = frame && (channel < 0 ? transparencyOf(frame) : channelOf(frame, channel));
      return { values: [{ kind: "MASK", planes: [plane ?? noMask()] }] };
    },
  },
];

/** Names of what LoadImage offers; it loads others as well. */
const PICTURE = /\.(png|jpe?g|jfif|webp|gif|bmp|tiff?|avif|heic|svg|ico)$/i;

/** A picture with alpha, four bytes a pixel; `hasAlpha` tells whether the file has an alpha of its own. */
interface Frame {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
  readonly hasAlpha: boolean;
}

/** The picture of a file, turned as its metadata says; several, if it moves. */
async function readFrames(path: string): Promise<readonly Frame[]> {
  const content = await readFile(path);
  try {
    const { hasAlpha, pages = 1 } = await sharp(content).metadata();
    const source = pages > 1 ? sharp(content, { pages: -1 }) : sharp(content).autoOrient();
    const { data, info } = await source
      .toColourspace("srgb")
      .ensureAlpha()
      .raw()
      .toBuffer({ resolveWithObject: true });
    const { width } = info;
    const height = info.pageHeight ?? info.height;
    const size = width * height * 4;
    return Array.from({ length: pages }, (_, page) => ({
      width,
      height,
      data: data.subarray(page * size, (page + 1) * size),
      hasAlpha,
    }));
  } catch {
    // Whatever the decoder says, ComfyUI's has one text for it.
    throw new PythonError("PIL.UnidentifiedImageError", "cannot identify image file");
  }
}

function rgbOf({ width, height, data }: Frame): Pixels {
  const rgb = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; from < data.length; from += 4, to += 3) {
    rgb[to] = data[from] ?? 0;
    rgb[to + 1] = data[from + 1] ?? 0;
    rgb[to + 2] = data[from + 2] ?? 0;
  }
  return { width, height, data: rgb };
}

function transparencyOf(frame: Frame): Plane {
  const plane = channelOf(frame, 3);
  return { ...plane, data: plane.data.map((alpha) => 1 - alpha) };
}

function channelOf({ width, height, data }: Frame, channel: number): Plane {
  return {
    width,
    height,
    data: Float32Array.from({ length: width * height }, (_, i) => (data[i * 4 + channel] ?? 0) / 255),
  };
}

/** Without an alpha channel ComfyUI gives a mask of 64 × 64 zeros, whatever the size of the picture. */
function noMask(): Plane {
  return { width: 64, height: 64, data: new Float32Array(64 * 64) };
}

function pictureFile(isOffered: (name: string) => boolean): InputSpec {
  return { type: ({ files }) => files.inputs().filter(isOffered), options: { image_upload: true } };
}

function missing(value: Json, { files }: Surroundings): string | undefined {
  const isThere = typeof value === "string" && existsSync(files.pathOf(value));
  return isThere ? undefined : `Invalid image file: ${pythonText(value)}`;
}

async function markOf(inputs: NodeInputs, { files }: Surroundings): Promise<string> {
  return createHash("sha256")
    .update(await readFile(files.pathOf(inputs.text("image"))))
    .digest("hex");
}
