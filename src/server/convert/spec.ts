import { create } from "@bufbuild/protobuf";
import {
  ImageFormat,
  ImageMetadata,
  OutputOptionsSchema,
  type PreviewOptions,
  PreviewOptionsSchema,
  type GenerationSpec as SpecMessage,
  type ThumbnailOptions,
} from "../../../gen/comfyrpc/v1/generation_pb.js";
import type {
  GenerationSpec,
  MetadataChoice,
  PreviewSpec,
  ResolvedGeneration,
} from "../../domain/generation.ts";
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
    preview: preview && fromSmall(preview),
    output: defined({
      format: output && domainFormat[output.format],
      quality: output?.quality,
      inlineLimitBytes: output?.inlineLimitBytes,
      metadata: output && domainMetadata[output.metadata],
      aiMark: output?.aiMark,
      thumbnail: output?.thumbnail && fromSmall(output.thumbnail),
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
    message.preview = create(PreviewOptionsSchema, toSmall(preview));
  }
  const { thumbnail, ...encoding } = output;
  message.output = create(OutputOptionsSchema, {
    ...encoding,
    format: messageFormat[output.format],
    metadata: messageMetadata[output.metadata],
    ...(thumbnail && { thumbnail: toSmall(thumbnail) }),
  });
  message.detach = detach;
  message.allowReuse = allowReuse;
  return message;
}

function toSmall({ maxSidePx, format }: Required<PreviewSpec>) {
  return { maxSidePx, format: messageFormat[format] };
}

/** Reads how a picture is made smaller. */
function fromSmall({ maxSidePx, format }: PreviewOptions | ThumbnailOptions) {
  return defined({ maxSidePx, format: smallFormat(format) });
}

function smallFormat(format: ImageFormat): "jpeg" | "webp" | undefined {
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
