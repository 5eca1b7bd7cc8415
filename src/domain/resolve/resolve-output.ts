import type { OutputSpec, PreviewSpec, ResolvedOutput, ThumbnailSpec } from "../generation.ts";
import { defaultQuality } from "../image.ts";
import type { Problems } from "./problems.ts";

/** What `inline_limit_bytes` is if not given: 3.5 MiB, under the 4 MiB that gRPC clients accept unconfigured. */
export const defaultInlineLimitBytes = 3_670_016;

/**
 * Whether images are marked as made by AI: unless their caller does not want it, only if their caller wants it, or whatever
 * their caller wants.
 */
export type AiMarkPolicy = "on" | "off" | "required";

/** Fills in how images are encoded and returned. */
export function resolveOutput(output: OutputSpec, aiMark: AiMarkPolicy, problems: Problems): ResolvedOutput {
  if (output.aiMark === false && aiMark === "required") {
    problems.add(
      "spec.output.ai_mark",
      "this server marks every image as made by AI; leave the field out, or set it to true",
    );
  }
  const format = output.format ?? "png";
  return {
    format,
    ...(format === "png" ? {} : { quality: output.quality ?? defaultQuality[format] }),
    inlineLimitBytes: output.inlineLimitBytes ?? defaultInlineLimitBytes,
    metadata: output.metadata ?? "keep",
    aiMark: output.aiMark ?? aiMark !== "off",
    ...(output.thumbnail && { thumbnail: resolveThumbnail(output.thumbnail) }),
  };
}

/** Fills in which previews are sent. */
export function resolvePreview({ maxSidePx = 512, format = "jpeg" }: PreviewSpec): Required<PreviewSpec> {
  return { maxSidePx, format };
}

function resolveThumbnail({ maxSidePx = 256, format = "webp" }: ThumbnailSpec): Required<ThumbnailSpec> {
  return { maxSidePx, format };
}
