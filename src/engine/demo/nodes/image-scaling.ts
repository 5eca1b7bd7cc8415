import type { Pixels } from "../picture/picture.ts";
import { SCALE_METHODS, type ScaleMethod } from "../picture/resample.ts";
import { cropToShape, roundHalfEven, scalePicture } from "../picture/scale.ts";
import { PythonError } from "../python.ts";
import { reserve } from "./memory.ts";
import type { InputSpec, NodeContext, NodeDefinition, NodeInputs, NodeResult } from "./node.ts";

const MOST_PX = 16384;

/** Nodes that bring pictures to another size. */
export const imageScaling: readonly NodeDefinition[] = [
  {
    classType: "ImageScale",
    displayName: "Upscale Image",
    category: "image/upscaling",
    required: {
      image: { type: "IMAGE" },
      upscale_method: { type: SCALE_METHODS },
      width: side(),
      height: side(),
      crop: { type: ["disabled", "center"] },
    },
    outputs: [{ type: "IMAGE" }],
    run: (inputs, { draw }) => {
      const { images } = inputs.value("image", "IMAGE");
      const [width, height] = wantedSize(images, inputs.integer("width"), inputs.integer("height"));
      const isCropped = inputs.text("crop") === "center";
      const shaped = isCropped ? images.map((pixels) => cropToShape(pixels, width, height)) : images;
      return scaleAll(shaped, width, height, methodIn(inputs), draw);
    },
  },
  {
    classType: "ImageScaleBy",
    displayName: "Upscale Image By",
    category: "image/upscaling",
    required: {
      image: { type: "IMAGE" },
      upscale_method: { type: SCALE_METHODS },
      scale_by: { type: "FLOAT", options: { default: 1, min: 0.01, max: 8, step: 0.01 } },
    },
    outputs: [{ type: "IMAGE" }],
    run: (inputs, { draw }) => scaleBy(inputs, () => inputs.number("scale_by"), draw),
  },
  {
    classType: "ImageScaleToTotalPixels",
    displayName: null,
    category: "image/upscaling",
    pythonModule: "comfy_extras.nodes_post_processing",
    required: {
      image: { type: "IMAGE" },
      upscale_method: { type: SCALE_METHODS, listForm: "combo" },
      megapixels: { type: "FLOAT", options: { default: 1, min: 0.01, max: 16, step: 0.01 } },
    },
    outputs: [{ type: "IMAGE" }],
    run: (inputs, { draw }) => {
      const total = Math.trunc(inputs.number("megapixels") * 1024 * 1024);
      return scaleBy(inputs, ({ width, height }) => Math.sqrt(total / (width * height)), draw);
    },
  },
  {
    classType: "ImageUpscaleWithModel",
    displayName: "Upscale Image (using Model)",
    category: "image/upscaling",
    pythonModule: "comfy_extras.nodes_upscale_model",
    required: { upscale_model: { type: "UPSCALE_MODEL" }, image: { type: "IMAGE" } },
    outputs: [{ type: "IMAGE" }],
    run: async (inputs, context) => {
      const { scale } = inputs.value("upscale_model", "UPSCALE_MODEL");
      const { images } = inputs.value("image", "IMAGE");
      const [width, height] = sizeOf(images);
      reserve(width * scale, height * scale, images.length);
      const tiles = tilesAlong(width) * tilesAlong(height);
      const upscaled = [];
      for (const [index, pixels] of images.entries()) {
        for (let tile = 1; tile <= tiles; tile++) {
          await context.step(index * tiles + tile, images.length * tiles);
        }
        upscaled.push(await context.draw(scalePicture(pixels, width * scale, height * scale, "lanczos")));
      }
      return { values: [{ kind: "IMAGE", images: upscaled }] };
    },
  },
];

/** Tiles of 512 pixels that overlap by 32 are worked on one after the other. */
function tilesAlong(length: number): number {
  return length <= 512 ? 1 : Math.ceil((length - 32) / (512 - 32));
}

function scaleBy(
  inputs: NodeInputs,
  factorFor: (first: { readonly width: number; readonly height: number }) => number,
  draw: NodeContext["draw"],
): Promise<NodeResult> {
  const { images } = inputs.value("image", "IMAGE");
  const [width, height] = sizeOf(images);
  const factor = factorFor({ width, height });
  const wanted = [roundHalfEven(width * factor), roundHalfEven(height * factor)] as const;
  return scaleAll(images, ...wanted, methodIn(inputs), draw);
}

async function scaleAll(
  images: readonly Pixels[],
  width: number,
  height: number,
  method: ScaleMethod,
  draw: NodeContext["draw"],
): Promise<NodeResult> {
  if (width < 1 || height < 1) {
    const [oldWidth, oldHeight] = sizeOf(images);
    const sizes = `input (H: ${oldHeight}, W: ${oldWidth}) output (H: ${height}, W: ${width})`;
    throw new PythonError(
      "RuntimeError",
      `Input and output sizes should be greater than 0, but got ${sizes}`,
    );
  }
  reserve(width, height, images.length);
  const scaled = [];
  for (const pixels of images) {
    scaled.push(await draw(scalePicture(pixels, width, height, method)));
  }
  return { values: [{ kind: "IMAGE", images: scaled }] };
}

/** A width or height of 0 follows from the other one; both 0 leave the picture as it is. */
function wantedSize(images: readonly Pixels[], width: number, height: number): readonly [number, number] {
  const [oldWidth, oldHeight] = sizeOf(images);
  if (width === 0 && height === 0) {
    return [oldWidth, oldHeight];
  }
  return [
    width || Math.max(1, roundHalfEven((oldWidth * height) / oldHeight)),
    height || Math.max(1, roundHalfEven((oldHeight * width) / oldWidth)),
  ];
}

function sizeOf([first]: readonly Pixels[]): readonly [number, number] {
  return [first?.width ?? 0, first?.height ?? 0];
}

function methodIn(inputs: NodeInputs): ScaleMethod {
  const name = inputs.text("upscale_method");
  const method = SCALE_METHODS.find((known) => known === name);
  if (!method) {
    throw new PythonError(
      "NotImplementedError",
      `Input Error: Only 3D, 4D and 5D input Tensors supported (got mode ${name})`,
    );
  }
  return method;
}

function side(): InputSpec {
  return { type: "INT", options: { default: 512, min: 0, max: MOST_PX, step: 1 } };
}
