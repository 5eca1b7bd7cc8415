import type { FileRef, FileType } from "../files.ts";
import { identity } from "../identity.ts";
import { stringifyJson } from "../json.ts";
import { encodePng, type PngText } from "../png.ts";
import type { NodeContext, NodeDefinition, NodeResult } from "./node.ts";
import type { Image } from "./value.ts";

const HIDDEN = { prompt: "PROMPT", extra_pnginfo: "EXTRA_PNGINFO" } as const;

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
];

async function write(
  image: Image,
  context: NodeContext,
  type: FileType,
  prefix: string,
  compressionLevel: number,
): Promise<NodeResult> {
  const texts = textsOf(context);
  const files = [];
  for (const pixels of image.images) {
    const data = await encodePng(pixels, compressionLevel, texts);
    files.push({ data, width: pixels.width, height: pixels.height });
  }
  const images = (await context.files.save(type, prefix, files)).map((ref: FileRef) => ({ ...ref }));
  return { values: [image], ui: { images } };
}

function textsOf({ graphText, extraPngInfo }: NodeContext): PngText[] {
  const extra = Object.entries(extraPngInfo).map(([keyword, value]) => ({
    keyword,
    text: stringifyJson(value),
  }));
  return [
    { keyword: "Software", text: identity.software },
    { keyword: "prompt", text: graphText() },
    ...extra,
  ];
}

/** Keeps the previews of several runs of the program apart, as ComfyUI does. */
function randomLetters(): string {
  return Array.from({ length: 5 }, () => String.fromCharCode(97 + Math.floor(Math.random() * 26))).join("");
}
