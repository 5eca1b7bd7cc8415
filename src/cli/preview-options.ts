import type { MessageInitShape } from "@bufbuild/protobuf";
import { Option } from "commander";
import { z } from "zod";
import type { PreviewOptionsSchema } from "../../gen/comfyrpc/v1/generation_pb.js";
import { formatOfName } from "./image-format.ts";
import { parseWholeNumber } from "./option-values.ts";

/** `--preview` for a command that saves the previews itself. */
export function savedPreviewOption(): Option {
  return new Option(
    "--preview [dir]",
    "save pictures of the unfinished work, in previews/ beside the images unless given; put it after the prompt",
  );
}

/** `--preview` for a command that leaves the job alone. */
export function offeredPreviewOption(): Option {
  return new Option("--preview", "make pictures of the unfinished work, for those who watch the job");
}

/** The options that say how previews are made; each of them also asks for previews. */
export function previewOptions(): Option[] {
  return [
    new Option("--preview-size <px>", "longest side, 16 to 1024 (default: 512)").argParser(parseWholeNumber),
    new Option("--preview-format <format>", "jpeg unless given").choices(["jpeg", "webp"]),
  ];
}

/** What the options about previews leave in the options of a command. */
export const PreviewFlags = z.object({
  preview: z.union([z.string(), z.literal(true)]).optional(),
  previewSize: z.number().optional(),
  previewFormat: z.enum(["jpeg", "webp"]).optional(),
});

export type PreviewFlags = z.infer<typeof PreviewFlags>;

/** Whether any of the options asks for previews. */
export function wantsPreview({ preview, previewSize, previewFormat }: PreviewFlags): boolean {
  return preview !== undefined || previewSize !== undefined || previewFormat !== undefined;
}

/** The part of a spec about previews; `undefined` for none. */
export function toPreview(flags: PreviewFlags): MessageInitShape<typeof PreviewOptionsSchema> | undefined {
  if (!wantsPreview(flags)) return undefined;
  const { previewSize: maxSidePx, previewFormat } = flags;
  return { maxSidePx, ...(previewFormat ? { format: formatOfName(previewFormat) } : {}) };
}
