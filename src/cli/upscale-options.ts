import type { MessageInitShape } from "@bufbuild/protobuf";
import { InvalidArgumentError, Option } from "commander";
import { z } from "zod";
import type { Upscale, UpscaleSchema } from "../../gen/comfyrpc/v1/upscale_pb.js";
import { enumValue, resizes } from "./mode-names.ts";
import { parseNumber, parseSize, parseWholeNumber } from "./option-values.ts";

/** The options that say how an image is enlarged, to be read by {@link UpscaleFlags}. */
export function upscaleOptions(): Option[] {
  return [
    new Option("--upscale <factor>", "enlarge the picture at its end, 0.1 to 8").argParser(parseNumber),
    new Option("--upscale-to <WxH>", "enlarge it to this size; one side may be left out, such as 2048x")
      .argParser(parseOpenSize)
      .conflicts(["upscale"]),
    new Option("--upscale-model <name>", "enlarge it by this model"),
    new Option("--upscale-scaling <name>", "how pixels are scaled (default: lanczos)").choices([
      "nearest-exact",
      "bilinear",
      "area",
      "bicubic",
      "lanczos",
    ]),
  ];
}

/** The option that says how an image is brought to other proportions, to be read by {@link UpscaleFlags}. */
export function resizeOption(): Option {
  return new Option("--resize <how>", "bring an image to other proportions by (default: crop)").choices(
    Object.keys(resizes),
  );
}

/** What {@link upscaleOptions} leave in the options of a command. */
export const UpscaleFlags = z.object({
  upscale: z.number().optional(),
  upscaleTo: z.object({ widthPx: z.number().optional(), heightPx: z.number().optional() }).optional(),
  upscaleModel: z.string().optional(),
  upscaleScaling: z.string().optional(),
  resize: z.string().optional(),
});

export type UpscaleFlags = z.infer<typeof UpscaleFlags>;

/** Fields that say how an image is enlarged. */
export type UpscaleFields = Exclude<MessageInitShape<typeof UpscaleSchema>, Upscale>;

/** How an image is enlarged. */
export function toUpscale(flags: UpscaleFlags): UpscaleFields {
  return {
    factor: flags.upscale,
    ...flags.upscaleTo,
    model: flags.upscaleModel ?? "",
    scaling: flags.upscaleScaling ?? "",
    resize: enumValue(resizes, flags.resize),
  };
}

/** Whether the options ask for an image to be enlarged. */
export function wantsUpscale({ upscale, upscaleTo, upscaleModel }: UpscaleFlags): boolean {
  return upscale !== undefined || upscaleTo !== undefined || upscaleModel !== undefined;
}

function parseOpenSize(text: string): { widthPx?: number; heightPx?: number } {
  const [, width, height] = /^(\d*)[x×](\d*)$/i.exec(text.trim()) ?? [];
  if (width && height) return parseSize(text);
  if (width) return { widthPx: parseWholeNumber(width) };
  if (height) return { heightPx: parseWholeNumber(height) };
  throw new InvalidArgumentError("Write it as WIDTHxHEIGHT, WIDTHx or xHEIGHT, such as 2048x.");
}
