import sharp from "sharp";
import { identity } from "../identity.ts";
import type { Pixels } from "../picture/picture.ts";
import { encodeAnimatedPng } from "../png.ts";
import { HIDDEN, MARK, textsOf } from "./file-texts.ts";
import type { InputSpec, NodeContext, NodeDefinition, NodeInputs } from "./node.ts";

/** Nodes that write the pictures of a batch into one file, in which they follow each other. */
export const saveAnimation: readonly NodeDefinition[] = [
  {
    classType: "SaveAnimatedWEBP",
    displayName: "SaveAnimatedWEBP",
    category: "image/animation",
    pythonModule: "comfy_extras.nodes_images",
    required: {
      ...common(),
      lossless: { type: "BOOLEAN", options: { default: true } },
      quality: { type: "INT", options: { default: 80, min: 0, max: 100 } },
      method: { type: ["default", "fastest", "slowest"] },
    },
    hidden: HIDDEN,
    outputs: [],
    isOutput: true,
    run: async (inputs, context) => {
      const { images } = inputs.value("images", "IMAGE");
      return save(inputs, context, "webp", await encodeWebp(images, inputs, context), images.length > 1);
    },
  },
  {
    classType: "SaveAnimatedPNG",
    displayName: "SaveAnimatedPNG",
    category: "image/animation",
    pythonModule: "comfy_extras.nodes_images",
    required: {
      ...common(),
      compress_level: { type: "INT", options: { default: 4, min: 0, max: 9 } },
    },
    hidden: HIDDEN,
    outputs: [],
    isOutput: true,
    run: async (inputs, context) => {
      const { images } = inputs.value("images", "IMAGE");
      const animation = { frames: images, delayMs: delayMs(inputs) };
      const level = inputs.integer("compress_level");
      const data = await encodeAnimatedPng(animation, level, MARK, textsOf(context));
      return save(inputs, context, "png", data, true);
    },
  },
];

async function save(
  inputs: NodeInputs,
  { files }: NodeContext,
  extension: string,
  data: Buffer,
  isAnimated: boolean,
) {
  const [first] = inputs.value("images", "IMAGE").images;
  const file = { data, extension, width: first?.width ?? 0, height: first?.height ?? 0 };
  const images = await files.save("output", inputs.text("filename_prefix"), [file]);
  return { values: [], ui: { images, animated: [isAnimated] } };
}

/** How much time libwebp takes for its work. */
const EFFORTS: Readonly<Record<string, number>> = { default: 4, fastest: 0, slowest: 6 };

function encodeWebp(images: readonly Pixels[], inputs: NodeInputs, context: NodeContext): Promise<Buffer> {
  const [first] = images;
  const { width = 0, height = 0 } = first ?? {};
  const raw = { width, height: height * images.length, channels: 3, pageHeight: height } as const;
  return sharp(Buffer.concat(images.map(({ data }) => data)), { raw })
    .withExif({ IFD0: exifOf(context) })
    .webp({
      lossless: inputs.flag("lossless"),
      quality: Math.max(1, inputs.integer("quality")),
      effort: EFFORTS[inputs.text("method")] ?? 4,
      delay: images.map(() => delayMs(inputs)),
      loop: 0,
    })
    .toBuffer();
}

/** ComfyUI writes the graph into the field for the camera's model, and other texts into the fields before it. */
function exifOf(context: NodeContext): Record<string, string> {
  const fields = ["Model", "Make", "ImageDescription"];
  const texts = textsOf(context).slice(0, fields.length);
  const entries = texts.map(({ keyword, text }, index) => [fields[index] ?? "", `${keyword}:${text}`]);
  return { ...Object.fromEntries(entries), Software: identity.software };
}

function delayMs(inputs: NodeInputs): number {
  return Math.trunc(1000 / inputs.number("fps"));
}

function common(): Readonly<Record<string, InputSpec>> {
  return {
    images: { type: "IMAGE" },
    filename_prefix: { type: "STRING", options: { default: "ComfyUI" } },
    fps: { type: "FLOAT", options: { default: 6, min: 0.01, max: 1000, step: 0.01 } },
  };
}
