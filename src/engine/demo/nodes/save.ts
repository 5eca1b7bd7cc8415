import type { FileType } from "../files.ts";
import { encodePng } from "../png.ts";
import { HIDDEN, MARK, textsOf } from "./file-texts.ts";
import { pictureOf } from "./mask.ts";
import type { NodeContext, NodeDefinition, NodeResult } from "./node.ts";
import type { Image } from "./value.ts";

/** Nodes that write pictures to disk. */
export const save: readonly NodeDefinition[] = [
  {
    classType: "SaveImage",
    displayName: "Save Image",
    category: "image",
    required: {
      images: { type: "IMAGE" },
      filename_prefix: { type: "STRING", options: { default: "ComfyUI" } },
    },
    hidden: HIDDEN,
    outputs: [{ type: "IMAGE", name: "images" }],
    isOutput: true,
    run: (inputs, context) =>
      write(inputs.value("images", "IMAGE"), context, "output", inputs.text("filename_prefix"), 4),
  },
  {
    classType: "PreviewImage",
    displayName: "Preview Image",
    category: "image",
    required: { images: { type: "IMAGE" } },
    hidden: HIDDEN,
    outputs: [{ type: "IMAGE", name: "images" }],
    isOutput: true,
    run: (inputs, context) =>
      write(inputs.value("images", "IMAGE"), context, "temp", `ComfyUI_temp_${randomLetters()}`, 1),
  },
  {
    classType: "MaskPreview",
    displayName: "MaskPreview",
    category: "mask",
    pythonModule: "comfy_extras.nodes_mask",
    required: { mask: { type: "MASK" } },
    hidden: HIDDEN,
    outputs: [],
    isOutput: true,
    run: async (inputs, context) => {
      const images = inputs.value("mask", "MASK").planes.map(pictureOf);
      const prefix = `ComfyUI_temp_${randomLetters()}`;
      const { ui = {} } = await write({ kind: "IMAGE", images }, context, "temp", prefix, 4);
      return { values: [], ui };
    },
  },
];

async function write(
  image: Image,
  context: NodeContext,
  type: FileType,
  prefix: string,
  compressionLevel: number,
): Promise<NodeResult> {
  const texts = [MARK, ...textsOf(context)];
  const files = [];
  for (const pixels of image.images) {
    const data = await encodePng(pixels, compressionLevel, texts);
    files.push({ data, extension: "png", width: pixels.width, height: pixels.height });
  }
  return { values: [image], ui: { images: await context.files.save(type, prefix, files) } };
}

/** Keeps the previews of several runs of the program apart, as ComfyUI does. */
function randomLetters(): string {
  return Array.from({ length: 5 }, () => String.fromCharCode(97 + Math.floor(Math.random() * 26))).join("");
}
