import { type Canvas, createCanvas } from "../picture/canvas.ts";
import { resample, type ScaleMethod } from "../picture/resample.ts";
import { centreBox, roundHalfEven } from "../picture/scale.ts";
import { PythonError } from "../python.ts";
import { toLatentSize } from "./encode.ts";
import { blankCanvas, LATENT_CELL_PX } from "./latent-painter.ts";
import { layOver } from "./lay-over.ts";
import { reserve } from "./memory.ts";
import type { InputSpec, NodeContext, NodeDefinition, NodeInputs, NodeResult } from "./node.ts";
import type { Latent } from "./value.ts";

const MOST_PX = 16384;

const LATENT_METHODS = ["nearest-exact", "bilinear", "area", "bicubic"] as const;

/** Nodes that change latent images. */
export const latent: readonly NodeDefinition[] = [
  {
    classType: "SetLatentNoiseMask",
    displayName: "Set Latent Noise Mask",
    category: "latent/inpaint",
    required: { samples: { type: "LATENT" }, mask: { type: "MASK" } },
    outputs: [{ type: "LATENT" }],
    run: (inputs) => ({
      values: [{ ...inputs.value("samples", "LATENT"), noiseMask: inputs.value("mask", "MASK") }],
    }),
  },
  {
    classType: "LatentUpscale",
    displayName: "Upscale Latent",
    category: "latent",
    required: {
      samples: { type: "LATENT" },
      upscale_method: { type: [...LATENT_METHODS, "bislerp"] },
      width: place(512),
      height: place(512),
      crop: { type: ["disabled", "center"] },
    },
    outputs: [{ type: "LATENT" }],
    run: async (inputs, { draw }) => {
      const samples = inputs.value("samples", "LATENT");
      const wanted = wantedSize(samples, inputs.integer("width"), inputs.integer("height"));
      const isCropped = inputs.text("crop") === "center";
      return { values: [wanted ? await scaled(samples, wanted, isCropped, inputs, draw) : samples] };
    },
  },
  {
    classType: "LatentUpscaleBy",
    displayName: "Upscale Latent By",
    category: "latent",
    required: {
      samples: { type: "LATENT" },
      upscale_method: { type: [...LATENT_METHODS, "bislerp"] },
      scale_by: { type: "FLOAT", options: { default: 1.5, min: 0.01, max: 8, step: 0.01 } },
    },
    outputs: [{ type: "LATENT" }],
    run: async (inputs, { draw }) => {
      const samples = inputs.value("samples", "LATENT");
      const factor = inputs.number("scale_by");
      const wanted = [
        roundHalfEven((samples.width / LATENT_CELL_PX) * factor) * LATENT_CELL_PX,
        roundHalfEven((samples.height / LATENT_CELL_PX) * factor) * LATENT_CELL_PX,
      ] as const;
      return { values: [await scaled(samples, wanted, false, inputs, draw)] };
    },
  },
  {
    classType: "RepeatLatentBatch",
    displayName: "Repeat Latent Batch",
    category: "latent/batch",
    required: {
      samples: { type: "LATENT" },
      amount: { type: "INT", options: { default: 1, min: 1, max: 64 } },
    },
    outputs: [{ type: "LATENT" }],
    run: (inputs) => ({ values: [repeated(inputs.value("samples", "LATENT"), inputs.integer("amount"))] }),
  },
  {
    classType: "LatentFromBatch",
    displayName: "Latent From Batch",
    category: "latent/batch",
    required: {
      samples: { type: "LATENT" },
      batch_index: { type: "INT", options: { default: 0, min: 0, max: 63 } },
      length: { type: "INT", options: { default: 1, min: 1, max: 64 } },
    },
    outputs: [{ type: "LATENT" }],
    run: (inputs) => ({
      values: [
        part(inputs.value("samples", "LATENT"), inputs.integer("batch_index"), inputs.integer("length")),
      ],
    }),
  },
  {
    classType: "LatentCompositeMasked",
    displayName: "LatentCompositeMasked",
    category: "latent",
    pythonModule: "comfy_extras.nodes_mask",
    required: {
      destination: { type: "LATENT" },
      source: { type: "LATENT" },
      x: place(0),
      y: place(0),
      resize_source: { type: "BOOLEAN", options: { default: false } },
    },
    optional: { mask: { type: "MASK" } },
    outputs: [{ type: "LATENT" }],
    run: (inputs, { draw }) => composite(inputs, draw),
  },
];

/** `undefined` leaves the latent as it is. A width or height of 0 follows from the other one. */
function wantedSize(samples: Latent, width: number, height: number): readonly [number, number] | undefined {
  if (width === 0 && height === 0) {
    return undefined;
  }
  const atLeast = (pixels: number) => Math.max(64, pixels);
  const across = width === 0 ? roundHalfEven((samples.width * atLeast(height)) / samples.height) : width;
  const down = height === 0 ? roundHalfEven((samples.height * atLeast(width)) / samples.width) : height;
  return [toLatentSize(atLeast(across)), toLatentSize(atLeast(down))];
}

async function scaled(
  samples: Latent,
  [width, height]: readonly [number, number],
  isCropped: boolean,
  inputs: NodeInputs,
  draw: NodeContext["draw"],
): Promise<Latent> {
  if (width === 0 || height === 0) {
    throw new PythonError("RuntimeError", "Input and output sizes should be greater than 0");
  }
  reserve(width, height, samples.batchSize);
  const method = methodIn(inputs);
  const canvases: Canvas[] = [];
  for (const canvas of samples.canvases ?? []) {
    const from = isCropped ? cropToCells(canvas, width, height) : canvas;
    canvases.push(await draw(scaleCanvas(from, width, height, method)));
  }
  return { ...samples, width, height, canvases: samples.canvases && canvases };
}

function* scaleCanvas(
  { width: oldWidth, height: oldHeight, pixels }: Canvas,
  width: number,
  height: number,
  method: ScaleMethod,
): Generator<void, Canvas, void> {
  const from = { width: oldWidth, height: oldHeight, channels: 3, data: pixels };
  return { width, height, pixels: yield* resample(from, width, height, method) };
}

/** Cuts off whole blocks beyond the wanted proportions, on both sides by the same. */
function cropToCells(canvas: Canvas, width: number, height: number): Canvas {
  const cells = { width: canvas.width / LATENT_CELL_PX, height: canvas.height / LATENT_CELL_PX };
  const box = centreBox(cells, width, height);
  const cut = createCanvas(box.width * LATENT_CELL_PX, box.height * LATENT_CELL_PX);
  for (let y = 0; y < cut.height; y++) {
    const start = ((box.top * LATENT_CELL_PX + y) * canvas.width + box.left * LATENT_CELL_PX) * 3;
    cut.pixels.set(canvas.pixels.subarray(start, start + cut.width * 3), y * cut.width * 3);
  }
  return cut;
}

function repeated(samples: Latent, amount: number): Latent {
  const { width, height, batchSize, canvases, places } = samples;
  reserve(width, height, batchSize * amount);
  const times = Array.from({ length: amount }, (_, time) => time);
  const span = places && Math.max(...places) - Math.min(...places) + 1;
  return {
    ...samples,
    batchSize: batchSize * amount,
    canvases: canvases && times.flatMap(() => canvases),
    places: places && times.flatMap((time) => places.map((index) => index + time * (span ?? 0))),
  };
}

/** Some of a batch, which keep the places that they had in it: samplers paint the same with them. */
function part(samples: Latent, index: number, length: number): Latent {
  const { batchSize, canvases, places, noiseMask } = samples;
  const start = Math.min(batchSize - 1, index);
  const indices = Array.from({ length: Math.min(batchSize - start, length) }, (_, i) => start + i);
  const planes = noiseMask?.planes ?? [];
  const kept = indices.flatMap((i) => planes[i % planes.length] ?? []);
  return {
    ...samples,
    batchSize: indices.length,
    canvases: canvases && indices.flatMap((i) => canvases[i] ?? []),
    places: indices.map((i) => places?.[i] ?? i),
    noiseMask: noiseMask && { ...noiseMask, planes: kept },
  };
}

async function composite(inputs: NodeInputs, draw: NodeContext["draw"]): Promise<NodeResult> {
  const below = inputs.value("destination", "LATENT");
  const above = inputs.value("source", "LATENT");
  const planes = inputs.isGiven("mask") ? inputs.value("mask", "MASK").planes : undefined;
  const place = { left: toLatentSize(inputs.integer("x")), top: toLatentSize(inputs.integer("y")) };
  const canvases: Canvas[] = [];
  for (let index = 0; index < below.batchSize; index++) {
    const under = canvasAt(below, index);
    const over = canvasAt(above, index % above.batchSize);
    const fitted = inputs.flag("resize_source")
      ? await draw(scaleCanvas(over, below.width, below.height, "bilinear"))
      : over;
    const mask = planes?.[index % planes.length];
    const data = under.pixels.slice();
    const pixels = await draw(layOver({ ...under, data }, { ...fitted, data: fitted.pixels }, place, mask));
    canvases.push({ width: below.width, height: below.height, pixels });
  }
  return { values: [{ ...below, canvases }] };
}

function canvasAt({ canvases, width, height }: Latent, index: number): Canvas {
  return canvases?.[index] ?? blankCanvas(width, height);
}

/** Bislerp, which turns the vectors of a latent image, is as good as bilinear for the colours of a picture. */
function methodIn(inputs: NodeInputs): ScaleMethod {
  const name = inputs.text("upscale_method");
  return LATENT_METHODS.find((method) => method === name) ?? "bilinear";
}

function place(preset: number): InputSpec {
  return { type: "INT", options: { default: preset, min: 0, max: MOST_PX, step: 8 } };
}
