import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { ImageSchema, ThumbnailSchema } from "../../../gen/comfyrpc/v1/image_pb.js";
import {
  type BackendSchema,
  GenerationResultSchema,
  type GenerationResult as ResultMessage,
} from "../../../gen/comfyrpc/v1/result_pb.js";
import { type ImageInfo, mediaTypeOf, type ThumbnailInfo } from "../../domain/image.ts";
import type { BackendInfo, GenerationResult } from "../../domain/job-event.ts";
import { messageFormat } from "./format.ts";
import { toOutputInit } from "./output.ts";
import { toSpecMessage } from "./spec.ts";
import { toDuration } from "./time.ts";

/** Writes what is known of an image, without its data. */
export function toImageInit(image: ImageInfo): MessageInitShape<typeof ImageSchema> {
  return {
    index: image.index,
    nodeId: image.nodeId,
    format: messageFormat[image.format],
    mediaType: mediaTypeOf[image.format],
    widthPx: image.widthPx,
    heightPx: image.heightPx,
    sizeBytes: BigInt(image.sizeBytes),
    sha256: image.sha256,
    seed: image.seed ?? 0n,
    assetId: image.sha256,
    ...(image.thumbnail && { thumbnail: toThumbnailInit(image.thumbnail) }),
  };
}

function toThumbnailInit({
  format,
  sizeBytes,
  sha256,
  ...size
}: ThumbnailInfo): MessageInitShape<typeof ThumbnailSchema> {
  return {
    ...size,
    format: messageFormat[format],
    mediaType: mediaTypeOf[format],
    sizeBytes: BigInt(sizeBytes),
    assetId: sha256,
  };
}

/** Writes the result of a job; its images have no data. */
export function toResultMessage(jobId: string, result: GenerationResult): ResultMessage {
  const { timings } = result;
  return create(GenerationResultSchema, {
    jobId,
    images: result.images.map(toImageInit),
    resolvedSpec: toSpecMessage(result.generation),
    graphSha256: result.graphSha256,
    backend: toBackendInit(result.backend),
    attemptCount: result.attemptCount,
    createTime: timestampFromDate(result.createTime),
    endTime: timestampFromDate(result.endTime),
    timings: {
      queue: toDuration(timings.queueMs),
      backendQueue: toDuration(timings.backendQueueMs),
      execution: toDuration(timings.executionMs),
      delivery: toDuration(timings.deliveryMs),
      total: toDuration(timings.totalMs),
    },
    nodes: result.nodes.map(({ startOffsetMs, durationMs, ...node }) => ({
      ...node,
      ...(startOffsetMs === undefined ? {} : { startOffset: toDuration(startOffsetMs) }),
      ...(durationMs === undefined ? {} : { duration: toDuration(durationMs) }),
    })),
    outputs: result.outputs.map(toOutputInit),
    reusedJobId: result.reusedJobId ?? "",
  });
}

/** Writes which backend did the work. */
export function toBackendInit({
  name,
  comfyUiVersion,
  builtIn,
}: BackendInfo): MessageInitShape<typeof BackendSchema> {
  return { name, comfyuiVersion: comfyUiVersion, builtIn };
}
