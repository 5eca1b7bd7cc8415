import { create } from "@bufbuild/protobuf";
import {
  ImageFormat,
  ImageMetadata,
  OutputOptionsSchema,
  PreviewOptionsSchema,
  type GenerationSpec as SpecMessage,
} from "../../../gen/comfyrpc/v1/generation_pb.js";
import type { GenerationSpec, MetadataChoice, ResolvedGeneration } from "../../domain/generation.ts";
import { defined } from "./defined.ts";
import { domainFormat, messageFormat } from "./format.ts";
import { toTaskMessage } from "./resolved-task.ts";
import { fromTask } from "./task.ts";

/**
 * Reads a spec that has passed the rules of the schema.
 *
 * @throws ServiceError `INVALID_FIELD` for what those rules cannot say
 */
export function fromSpecMessage(spec: SpecMessage): GenerationSpec {
  const { preview, output } = spec;
  return defined({
    task: fromTask(spec),
    preview: preview && defined({ maxSidePx: preview.maxSidePx, format: previewFormat(preview.format) }),
    output: defined({
      format: output && domainFormat[output.format],
      quality: output?.quality,
      inlineLimitBytes: output?.inlineLimitBytes,
      metadata: output && domainMetadata[output.metadata],
      aiMark: output?.aiMark,
    }),
    detach: spec.detach,
    allowReuse: spec.allowReuse,
  });
}

/** Writes a resolved generation as a spec that, sent again, means the same. */
export function toSpecMessage(generation: ResolvedGeneration): SpecMessage {
  const { task, preview, output, detach, allowReuse } = generation;
  const message = toTaskMessage(task);
  if (preview !== undefined) {
    message.preview = create(PreviewOptionsSchema, {
      maxSidePx: preview.maxSidePx,
      format: messageFormat[preview.format],
    });
  }
  message.output = create(OutputOptionsSchema, {
    ...output,
    format: messageFormat[output.format],
    metadata: messageMetadata[output.metadata],
  });
  message.detach = detach;
  message.allowReuse = allowReuse;
  return message;
}

function previewFormat(format: ImageFormat): "jpeg" | "webp" | undefined {
  return format === ImageFormat.WEBP ? "webp" : format === ImageFormat.JPEG ? "jpeg" : undefined;
}

const messageMetadata: Readonly<Record<MetadataChoice, ImageMetadata>> = {
  keep: ImageMetadata.KEEP,
  strip: ImageMetadata.STRIP,
  replace: ImageMetadata.REPLACE,
};

const domainMetadata: Readonly<Record<ImageMetadata, MetadataChoice | undefined>> = {
  [ImageMetadata.UNSPECIFIED]: undefined,
  [ImageMetadata.KEEP]: "keep",
  [ImageMetadata.STRIP]: "strip",
  [ImageMetadata.REPLACE]: "replace",
};
