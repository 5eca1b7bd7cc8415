import { toBytes } from "../picture/bytes.ts";
import { growPlane } from "../picture/grow.ts";
import type { Plane } from "../picture/plane.ts";
import { PythonError } from "../python.ts";
import { cropPlane } from "./encode.ts";
import { reserve } from "./memory.ts";
import type { InputSpec, NodeDefinition, NodeInputs, NodeResult } from "./node.ts";

const MOST_PX = 16384;

const module = "comfy_extras.nodes_mask";

/** Nodes that make masks and change them. */
export const mask: readonly NodeDefinition[] = [
  {
    classType: "MaskToImage",
    displayName: "Convert Mask to Image",
    category: "mask",
    pythonModule: module,
    required: { mask: { type: "MASK" } },
    outputs: [{ type: "IMAGE" }],
    run: (inputs) => ({
      values: [{ kind: "IMAGE", images: inputs.value("mask", "MASK").planes.map(pictureOf) }],
    }),
  },
  {
    classType: "ImageToMask",
    displayName: "Convert Image to Mask",
    category: "mask",
    pythonModule: module,
    required: { image: { type: "IMAGE" }, channel: { type: ["red", "green", "blue", "alpha"] } },
    outputs: [{ type: "MASK" }],
    run: (inputs) => {
      const channel = ["red", "green", "blue"].indexOf(inputs.text("channel"));
      if (channel < 0) {
        throw new PythonError("IndexError", "index 3 is out of bounds for dimension 3 with size 3");
      }
      const { images } = inputs.value("image", "IMAGE");
      return planesOf(
        images.map(({ width, height, data }) => ({
          width,
          height,
          data: Float32Array.from({ length: width * height }, (_, i) => (data[i * 3 + channel] ?? 0) / 255),
        })),
      );
    },
  },
  {
    classType: "SolidMask",
    displayName: "SolidMask",
    category: "mask",
    pythonModule: module,
    required: {
      value: share(1),
      width: pixelCount(1, 512),
      height: pixelCount(1, 512),
    },
    outputs: [{ type: "MASK" }],
    run: (inputs) => {
      const [width, height] = [inputs.integer("width"), inputs.integer("height")];
      reserve(width, height, 1);
      return planesOf([
        { width, height, data: new Float32Array(width * height).fill(inputs.number("value")) },
      ]);
    },
  },
  {
    classType: "InvertMask",
    displayName: "InvertMask",
    category: "mask",
    pythonModule: module,
    required: { mask: { type: "MASK" } },
    outputs: [{ type: "MASK" }],
    run: (inputs) => eachValue(inputs, (value) => 1 - value),
  },
  {
    classType: "ThresholdMask",
    displayName: "ThresholdMask",
    category: "mask",
    pythonModule: module,
    required: { mask: { type: "MASK" }, value: share(0.5) },
    outputs: [{ type: "MASK" }],
    run: (inputs) => {
      const threshold = Math.fround(inputs.number("value"));
      return eachValue(inputs, (value) => (value > threshold ? 1 : 0));
    },
  },
  {
    classType: "CropMask",
    displayName: "CropMask",
    category: "mask",
    pythonModule: module,
    required: {
      mask: { type: "MASK" },
      x: pixelCount(0, 0),
      y: pixelCount(0, 0),
      width: pixelCount(1, 512),
      height: pixelCount(1, 512),
    },
    outputs: [{ type: "MASK" }],
    run: (inputs) => planesOf(inputs.value("mask", "MASK").planes.map((plane) => cropped(plane, inputs))),
  },
  {
    classType: "GrowMask",
    displayName: "GrowMask",
    category: "mask",
    pythonModule: module,
    required: {
      mask: { type: "MASK" },
      expand: { type: "INT", options: { default: 0, min: -MOST_PX, max: MOST_PX, step: 1 } },
      tapered_corners: { type: "BOOLEAN", options: { default: true } },
    },
    outputs: [{ type: "MASK" }],
    run: async (inputs, { draw }) => {
      const [steps, tapered] = [inputs.integer("expand"), inputs.flag("tapered_corners")];
      const planes = [];
      for (const plane of inputs.value("mask", "MASK").planes) {
        planes.push(await draw(growPlane(plane, steps, tapered)));
      }
      return planesOf(planes);
    },
  },
  {
    classType: "FeatherMask",
    displayName: "FeatherMask",
    category: "mask",
    pythonModule: module,
    required: {
      mask: { type: "MASK" },
      left: pixelCount(0, 0),
      top: pixelCount(0, 0),
      right: pixelCount(0, 0),
      bottom: pixelCount(0, 0),
    },
    outputs: [{ type: "MASK" }],
    run: (inputs) => planesOf(inputs.value("mask", "MASK").planes.map((plane) => feathered(plane, inputs))),
  },
  {
    classType: "MaskComposite",
    displayName: "MaskComposite",
    category: "mask",
    pythonModule: module,
    required: {
      destination: { type: "MASK" },
      source: { type: "MASK" },
      x: pixelCount(0, 0),
      y: pixelCount(0, 0),
      operation: { type: ["multiply", "add", "subtract", "and", "or", "xor"] },
    },
    outputs: [{ type: "MASK" }],
    run: (inputs) => {
      const sources = inputs.value("source", "MASK").planes;
      return planesOf(
        inputs
          .value("destination", "MASK")
          .planes.map((plane, index) => combined(plane, sources[index % sources.length], inputs)),
      );
    },
  },
];

/** A mask as a grey picture. */
export function pictureOf({ width, height, data }: Plane) {
  const numbers = new Float32Array(data.length * 3);
  for (let i = 0; i < numbers.length; i++) {
    numbers[i] = (data[Math.floor(i / 3)] ?? 0) * 255;
  }
  return { width, height, data: toBytes(numbers) };
}

function eachValue(inputs: NodeInputs, change: (value: number) => number): NodeResult {
  const { planes } = inputs.value("mask", "MASK");
  return planesOf(planes.map((plane) => ({ ...plane, data: plane.data.map(change) })));
}

function cropped(plane: Plane, inputs: NodeInputs): Plane {
  const [left, top] = [inputs.integer("x"), inputs.integer("y")];
  const width = Math.min(inputs.integer("width"), plane.width - left);
  const height = Math.min(inputs.integer("height"), plane.height - top);
  if (width <= 0 || height <= 0) {
    throw new PythonError("RuntimeError", "the cropped mask is empty");
  }
  return cropPlane(plane, { left, top, width, height });
}

function feathered(plane: Plane, inputs: NodeInputs): Plane {
  const { width, height } = plane;
  const across = fadeOf(width, inputs.integer("left"), inputs.integer("right"));
  const down = fadeOf(height, inputs.integer("top"), inputs.integer("bottom"));
  const data = plane.data.map(
    (value, i) => Math.fround(value * (across[i % width] ?? 1)) * (down[Math.floor(i / width)] ?? 1),
  );
  return { width, height, data };
}

/** How much of a mask stays along one axis. As in ComfyUI, the last step of the far end falls on the near one. */
function fadeOf(length: number, near: number, far: number): Float32Array {
  const fade = new Float32Array(length).fill(1);
  const nearSteps = Math.min(near, length);
  const farSteps = Math.min(far, length);
  for (let step = 0; step < nearSteps; step++) {
    fade[step] = (fade[step] ?? 1) * ((step + 1) / nearSteps);
  }
  for (let step = 0; step < farSteps; step++) {
    const place = step === 0 ? 0 : length - step;
    fade[place] = (fade[place] ?? 1) * ((step + 1) / farSteps);
  }
  return fade;
}

function combined(plane: Plane, source: Plane | undefined, inputs: NodeInputs): Plane {
  const [left, top] = [inputs.integer("x"), inputs.integer("y")];
  const combine = OPERATIONS[inputs.text("operation")];
  const data = plane.data.slice();
  for (let y = 0; source && combine && y < Math.min(source.height, plane.height - top); y++) {
    for (let x = 0; x < Math.min(source.width, plane.width - left); x++) {
      const to = (y + top) * plane.width + x + left;
      data[to] = combine(data[to] ?? 0, source.data[y * source.width + x] ?? 0);
    }
  }
  return { ...plane, data: data.map((value) => Math.max(0, Math.min(1, value))) };
}

const OPERATIONS: Readonly<Record<string, (below: number, above: number) => number>> = {
  multiply: (below, above) => below * above,
  add: (below, above) => below + above,
  subtract: (below, above) => below - above,
  and: (below, above) => Number(below > 0.5 && above > 0.5),
  or: (below, above) => Number(below > 0.5 || above > 0.5),
  xor: (below, above) => Number(below > 0.5 !== above > 0.5),
};

function planesOf(planes: readonly Plane[]): NodeResult {
  return { values: [{ kind: "MASK", planes }] };
}

function share(preset: number): InputSpec {
  return { type: "FLOAT", options: { default: preset, min: 0, max: 1, step: 0.01 } };
}

function pixelCount(min: number, preset: number): InputSpec {
  return { type: "INT", options: { default: preset, min, max: MOST_PX, step: 1 } };
}
