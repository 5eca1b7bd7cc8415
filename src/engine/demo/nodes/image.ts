import { blurPicture } from "../picture/blur.ts";
import { toBytes } from "../picture/bytes.ts";
import { crop } from "../picture/crop.ts";
import type { Pixels } from "../picture/picture.ts";
import type { Plane } from "../picture/plane.ts";
import type { ScaleMethod } from "../picture/resample.ts";
import { cropToShape, scalePicture } from "../picture/scale.ts";
import { PythonError } from "../python.ts";
import { layOver } from "./lay-over.ts";
import { reserve } from "./memory.ts";
import type { InputSpec, NodeContext, NodeDefinition, NodeInputs, NodeResult } from "./node.ts";

const MOST_PX = 16384;

/** Nodes that make pictures and change them. */
export const image: readonly NodeDefinition[] = [
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
      const [width, height] = [inputs.integer("width"), inputs.integer("height")];
      reserve(width, height, 1);
      return repeated([plain(width, height, inputs.integer("color"))], inputs.integer("batch_size"));
    },
  },
  {
    classType: "ImageInvert",
    displayName: "Invert Image",
    category: "image",
    required: { image: { type: "IMAGE" } },
    outputs: [{ type: "IMAGE" }],
    run: (inputs) =>
      imagesOf(
        inputs
          .value("image", "IMAGE")
          .images.map((pixels) => ({ ...pixels, data: pixels.data.map((byte) => 255 - byte) })),
      ),
  },
  {
    classType: "ImageBatch",
    displayName: "Batch Images",
    category: "image",
    required: { image1: { type: "IMAGE" }, image2: { type: "IMAGE" } },
    outputs: [{ type: "IMAGE" }],
    run: async (inputs, { draw }) => {
      const first = inputs.value("image1", "IMAGE").images;
      const more = await fitted(inputs.value("image2", "IMAGE").images, first[0], "bilinear", draw);
      return imagesOf([...first, ...more]);
    },
  },
  {
    classType: "ImageFromBatch",
    displayName: "ImageFromBatch",
    category: "image/batch",
    pythonModule: "comfy_extras.nodes_images",
    required: {
      image: { type: "IMAGE" },
      batch_index: { type: "INT", options: { default: 0, min: 0, max: 4095 } },
      length: { type: "INT", options: { default: 1, min: 1, max: 4096 } },
    },
    outputs: [{ type: "IMAGE" }],
    run: (inputs) => {
      const { images } = inputs.value("image", "IMAGE");
      const start = Math.min(images.length - 1, inputs.integer("batch_index"));
      return imagesOf(images.slice(start, start + inputs.integer("length")));
    },
  },
  {
    classType: "RepeatImageBatch",
    displayName: "RepeatImageBatch",
    category: "image/batch",
    pythonModule: "comfy_extras.nodes_images",
    required: {
      image: { type: "IMAGE" },
      amount: { type: "INT", options: { default: 1, min: 1, max: 4096 } },
    },
    outputs: [{ type: "IMAGE" }],
    run: (inputs) => repeated(inputs.value("image", "IMAGE").images, inputs.integer("amount")),
  },
  {
    classType: "ImageCrop",
    displayName: "Image Crop",
    category: "image/transform",
    pythonModule: "comfy_extras.nodes_images",
    required: {
      image: { type: "IMAGE" },
      width: pixelCount(1),
      height: pixelCount(1),
      x: pixelCount(0, 0),
      y: pixelCount(0, 0),
    },
    outputs: [{ type: "IMAGE" }],
    run: (inputs) =>
      imagesOf(
        inputs.value("image", "IMAGE").images.map((pixels) => {
          const left = Math.min(inputs.integer("x"), pixels.width - 1);
          const top = Math.min(inputs.integer("y"), pixels.height - 1);
          const width = Math.min(inputs.integer("width"), pixels.width - left);
          const height = Math.min(inputs.integer("height"), pixels.height - top);
          return crop(pixels, { left, top, width, height });
        }),
      ),
  },
  {
    classType: "ImagePadForOutpaint",
    displayName: "Pad Image for Outpainting",
    category: "image",
    required: {
      image: { type: "IMAGE" },
      left: padding(),
      top: padding(),
      right: padding(),
      bottom: padding(),
      feathering: { type: "INT", options: { default: 40, min: 0, max: MOST_PX, step: 1 } },
    },
    outputs: [{ type: "IMAGE" }, { type: "MASK" }],
    run: (inputs) =>
      pad(inputs.value("image", "IMAGE").images, marginsIn(inputs), inputs.integer("feathering")),
  },
  {
    classType: "ImageCompositeMasked",
    displayName: "ImageCompositeMasked",
    category: "image",
    pythonModule: "comfy_extras.nodes_mask",
    required: {
      destination: { type: "IMAGE" },
      source: { type: "IMAGE" },
      x: pixelCount(0, 0),
      y: pixelCount(0, 0),
      resize_source: { type: "BOOLEAN", options: { default: false } },
    },
    optional: { mask: { type: "MASK" } },
    outputs: [{ type: "IMAGE" }],
    run: async (inputs, { draw }) => {
      const below = inputs.value("destination", "IMAGE").images;
      const above = inputs.value("source", "IMAGE").images;
      const [first] = below;
      const resized =
        inputs.flag("resize_source") && first ? await scaledLike(above, first, "bilinear", draw) : above;
      const planes = inputs.isGiven("mask") ? inputs.value("mask", "MASK").planes : undefined;
      const results = [];
      for (const [index, pixels] of below.entries()) {
        const numbers = await draw(
          layOver(
            { ...pixels, data: Float32Array.from(pixels.data) },
            resized[index % resized.length],
            { left: inputs.integer("x"), top: inputs.integer("y") },
            planes?.[index % planes.length],
          ),
        );
        results.push({ ...pixels, data: toBytes(numbers) });
      }
      return imagesOf(results);
    },
  },
  {
    classType: "ImageBlur",
    displayName: null,
    category: "image/postprocessing",
    pythonModule: "comfy_extras.nodes_post_processing",
    required: {
      image: { type: "IMAGE" },
      blur_radius: { type: "INT", options: { default: 1, min: 1, max: 31, step: 1 } },
      sigma: { type: "FLOAT", options: { default: 1, min: 0.1, max: 10, step: 0.1 } },
    },
    outputs: [{ type: "IMAGE" }],
    run: async (inputs, { draw }) => {
      const radius = inputs.integer("blur_radius");
      const blurred = [];
      for (const pixels of inputs.value("image", "IMAGE").images) {
        if (radius >= Math.min(pixels.width, pixels.height)) {
          const message = "Argument #4: Padding size should be less than the corresponding input dimension";
          throw new PythonError("RuntimeError", message);
        }
        blurred.push(await draw(blurPicture(pixels, radius, inputs.number("sigma"))));
      }
      return imagesOf(blurred);
    },
  },
];

interface Margins {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** Grey around the pictures, and a mask of it that fades out over `feathering` pixels within them. */
function pad(images: readonly Pixels[], margins: Margins, feathering: number): NodeResult {
  const padded = images.map((pixels) => {
    const width = pixels.width + margins.left + margins.right;
    const height = pixels.height + margins.top + margins.bottom;
    reserve(width, height, images.length);
    const data = new Uint8Array(width * height * 3).fill(127);
    for (let y = 0; y < pixels.height; y++) {
      const row = pixels.data.subarray(y * pixels.width * 3, (y + 1) * pixels.width * 3);
      data.set(row, ((y + margins.top) * width + margins.left) * 3);
    }
    return { width, height, data };
  });
  const [first] = images;
  const planes = first ? [outside(first, margins, feathering)] : [];
  return {
    values: [
      { kind: "IMAGE", images: padded },
      { kind: "MASK", planes },
    ],
  };
}

function outside({ width: w, height: h }: Pixels, margins: Margins, feathering: number): Plane {
  const width = w + margins.left + margins.right;
  const height = h + margins.top + margins.bottom;
  const data = new Float32Array(width * height).fill(1);
  const isSoft = feathering > 0 && feathering * 2 < h && feathering * 2 < w;
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      const distance = Math.min(
        margins.top ? y : h,
        margins.bottom ? h - y : h,
        margins.left ? x : w,
        margins.right ? w - x : w,
      );
      const share = isSoft && distance < feathering ? (feathering - distance) / feathering : 0;
      data[(y + margins.top) * width + x + margins.left] = share * share;
    }
  }
  return { width, height, data };
}

function marginsIn(inputs: NodeInputs): Margins {
  return {
    left: inputs.integer("left"),
    top: inputs.integer("top"),
    right: inputs.integer("right"),
    bottom: inputs.integer("bottom"),
  };
}

/** Pictures in the shape and size of `model`: what they have beyond its shape is cut off at both sides. */
export async function fitted(
  images: readonly Pixels[],
  model: Pixels | undefined,
  method: ScaleMethod,
  draw: NodeContext["draw"],
): Promise<readonly Pixels[]> {
  const [first] = images;
  if (!model || !first || (first.width === model.width && first.height === model.height)) {
    return images;
  }
  const shaped = images.map((pixels) => cropToShape(pixels, model.width, model.height));
  return scaledLike(shaped, model, method, draw);
}

async function scaledLike(
  images: readonly Pixels[],
  { width, height }: Pixels,
  method: ScaleMethod,
  draw: NodeContext["draw"],
): Promise<readonly Pixels[]> {
  const scaled = [];
  for (const pixels of images) {
    scaled.push(await draw(scalePicture(pixels, width, height, method)));
  }
  return scaled;
}

function repeated(images: readonly Pixels[], times: number): NodeResult {
  const [first] = images;
  reserve(first?.width ?? 0, first?.height ?? 0, images.length * times);
  return imagesOf(Array.from({ length: times }, () => images).flat());
}

function imagesOf(images: readonly Pixels[]): NodeResult {
  return { values: [{ kind: "IMAGE", images }] };
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

function pixelCount(min: number, preset = 512): InputSpec {
  return { type: "INT", options: { default: preset, min, max: MOST_PX, step: 1 } };
}

function padding(): InputSpec {
  return { type: "INT", options: { default: 0, min: 0, max: MOST_PX, step: 8 } };
}
