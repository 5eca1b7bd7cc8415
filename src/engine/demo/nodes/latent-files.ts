import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { PythonError, pythonText } from "../python.ts";
import { decodeTensor, encodeTensors } from "../safetensors.ts";
import { latentOf } from "./encode.ts";
import { HIDDEN, textsOf } from "./file-texts.ts";
import { blankCanvas } from "./latent-painter.ts";
import type { NodeDefinition } from "./node.ts";
import type { Latent } from "./value.ts";

/** Nodes that keep latent images in files. */
export const latentFiles: readonly NodeDefinition[] = [
  {
    classType: "SaveLatent",
    displayName: "SaveLatent",
    category: "_for_testing",
    required: {
      samples: { type: "LATENT" },
      filename_prefix: { type: "STRING", options: { default: "latents/ComfyUI" } },
    },
    hidden: HIDDEN,
    outputs: [],
    isOutput: true,
    run: async (inputs, context) => {
      const tensors = {
        latent_tensor: tensorOf(inputs.value("samples", "LATENT")),
        latent_format_version_0: { shape: [0], data: new Float32Array() },
      };
      const metadata = Object.fromEntries(textsOf(context).map(({ keyword, text }) => [keyword, text]));
      const file = { data: encodeTensors(tensors, metadata), extension: "latent", width: 0, height: 0 };
      const latents = await context.files.save("output", inputs.text("filename_prefix"), [file]);
      return { values: [], ui: { latents } };
    },
  },
  {
    classType: "LoadLatent",
    displayName: "LoadLatent",
    category: "_for_testing",
    required: { latent: { type: ({ files }) => files.inputs().filter((name) => name.endsWith(".latent")) } },
    outputs: [{ type: "LATENT" }],
    checks: {
      latent: (value, { files }) =>
        typeof value === "string" && existsSync(files.pathOf(value))
          ? undefined
          : `Invalid latent file: ${pythonText(value)}`,
    },
    markOf: async (inputs, { files }) =>
      createHash("sha256")
        .update(await readFile(files.pathOf(inputs.text("latent"))))
        .digest("hex"),
    run: async (inputs, { files }) => ({
      values: [latentIn(await readFile(files.pathOf(inputs.text("latent"))))],
    }),
  },
];

/** Pictures, rows, pixels and colours, in this order: the engine's own layout, that of ComfyUI is of its models. */
function tensorOf({ canvases, batchSize, width, height }: Latent) {
  const data = new Float32Array(batchSize * height * width * 3);
  for (let index = 0; index < batchSize; index++) {
    const canvas = canvases?.[index] ?? blankCanvas(width, height);
    data.set(canvas.pixels, index * height * width * 3);
  }
  return { shape: [batchSize, height, width, 3], data };
}

/** @throws PythonError if the file does not hold latents of this engine */
function latentIn(file: Buffer): Latent {
  const tensor = decodeTensor(file, "latent_tensor");
  const [batch = 0, height = 0, width = 0, colours] = tensor?.shape ?? [];
  if (!tensor || colours !== 3 || batch < 1 || height < 1 || width < 1 || height % 8 || width % 8) {
    throw new PythonError("safetensors_rust.SafetensorError", "the file holds no latents of this engine");
  }
  const length = height * width * 3;
  const canvases = Array.from({ length: batch }, (_, index) => ({
    width,
    height,
    pixels: tensor.data.slice(index * length, (index + 1) * length),
  }));
  return latentOf(canvases);
}
