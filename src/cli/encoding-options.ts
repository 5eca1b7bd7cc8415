import { join } from "node:path";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Option } from "commander";
import { z } from "zod";
import {
  type ImageFormat,
  ImageMetadata,
  type OutputOptionsSchema,
} from "../../gen/comfyrpc/v1/generation_pb.js";
import { formatNames, formatOfName } from "./image-format.ts";
import { parseWholeNumber } from "./option-values.ts";
import type { OutputTarget } from "./output-target.ts";
import { UsageError } from "./usage-error.ts";

const metadataNames = ["keep", "strip", "replace"] as const;

const metadataOfName = {
  keep: ImageMetadata.KEEP,
  strip: ImageMetadata.STRIP,
  replace: ImageMetadata.REPLACE,
} as const;

/** The options that say how images are encoded, to be read by {@link EncodingFlags}. */
export function encodingOptions(): Option[] {
  return [
    new Option("-f, --format <format>", "png unless given, or what --out says").choices(formatNames),
    new Option("--quality <n>", "of jpeg, webp and avif, 1 to 100").argParser(parseWholeNumber),
    new Option(
      "--metadata <what>",
      "keep the workflow in a png, strip it, or replace it by a short text",
    ).choices(metadataNames),
    new Option("--strip-metadata", "short for --metadata strip").implies({ metadata: "strip" }),
    new Option("--thumbnail <px>", "make a small version of each image, with this longest side").argParser(
      parseWholeNumber,
    ),
    new Option("--ai-mark", "mark images as made by AI, where the server does not of its own accord"),
    new Option("--no-ai-mark", "do not mark images as made by AI"),
  ];
}

/** What the options about encoding leave in the options of a command. */
export const EncodingFlags = z.object({
  format: z.enum(formatNames).optional(),
  quality: z.number().optional(),
  metadata: z.enum(metadataNames).optional(),
  aiMark: z.boolean().optional(),
  thumbnail: z.number().optional(),
  inlineLimit: z.number().optional(),
});

export type EncodingFlags = z.infer<typeof EncodingFlags>;

/**
 * The part of a spec about encoding; `undefined` where nothing was asked for.
 *
 * @param target where the images go; a file says its format by its name
 * @throws UsageError if that contradicts `--format`
 */
export function toOutput(
  flags: EncodingFlags,
  target: OutputTarget | undefined,
): MessageInitShape<typeof OutputOptionsSchema> | undefined {
  const { quality, inlineLimit: inlineLimitBytes, metadata, aiMark, thumbnail } = flags;
  const format = toFormat(flags, target);
  const values = [format, quality, inlineLimitBytes, metadata, aiMark, thumbnail];
  if (values.every((value) => value === undefined)) return undefined;
  return {
    quality,
    inlineLimitBytes,
    ...(format === undefined ? {} : { format }),
    ...(metadata === undefined ? {} : { metadata: metadataOfName[metadata] }),
    ...(aiMark === undefined ? {} : { aiMark }),
    ...(thumbnail === undefined ? {} : { thumbnail: { maxSidePx: thumbnail } }),
  };
}

/** A file name says its format as well as `--format` does, so they must not differ. */
function toFormat({ format }: EncodingFlags, target: OutputTarget | undefined): ImageFormat | undefined {
  const named = format && formatOfName(format);
  if (target === undefined || target.kind === "directory") return named;
  if (named !== undefined && named !== target.format) {
    const path = join(target.directory, `${target.stem}.${target.extension}`);
    throw new UsageError(`--format ${format} contradicts --out ${path}`);
  }
  return target.format;
}
