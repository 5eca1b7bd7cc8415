import type { OutputSpec, PreviewSpec, ResolvedOutput } from "../generation.ts";
import { defaultQuality } from "../image.ts";

/** What `inline_limit_bytes` is if not given: 3.5 MiB, under the 4 MiB that gRPC clients accept unconfigured. */
export const defaultInlineLimitBytes = 3_670_016;

/** Fills in how images are encoded and returned. */
export function resolveOutput(output: OutputSpec): ResolvedOutput {
  const format = output.format ?? "png";
  return {
    format,
    ...(format === "png" ? {} : { quality: output.quality ?? defaultQuality[format] }),
    inlineLimitBytes: output.inlineLimitBytes ?? defaultInlineLimitBytes,
    stripMetadata: output.stripMetadata,
  };
}

/** Fills in which previews are sent. */
export function resolvePreview({ maxSidePx = 512, format = "jpeg" }: PreviewSpec): Required<PreviewSpec> {
  return { maxSidePx, format };
}
