import { createHash } from "node:crypto";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { ImageFormat } from "../../../gen/comfyrpc/v1/generation_pb.js";
import { type Image, ImageSchema } from "../../../gen/comfyrpc/v1/image_pb.js";
import {
  type GenerateWithProgressResponse,
  GenerateWithProgressResponseSchema,
} from "../../../gen/comfyrpc/v1/image_service_pb.js";
import type { JobEventSchema } from "../../../gen/comfyrpc/v1/job_event_pb.js";

type EventInit = NonNullable<MessageInitShape<typeof JobEventSchema>["event"]>;

/** An answer of `GenerateWithProgress` with one event. */
export function staged(event: EventInit): GenerateWithProgressResponse {
  return create(GenerateWithProgressResponseSchema, { event: { jobId: "0b5c", sequence: 1n, event } });
}

/** An image of `data`, with a right size and hash unless `init` says otherwise. */
export function imageOf(data: Uint8Array, init: MessageInitShape<typeof ImageSchema> = {}): Image {
  return create(ImageSchema, {
    nodeId: "9",
    format: ImageFormat.PNG,
    mediaType: "image/png",
    widthPx: 512,
    heightPx: 512,
    sizeBytes: BigInt(data.byteLength),
    sha256: createHash("sha256").update(data).digest("hex"),
    seed: 42n,
    data,
    ...init,
  });
}

/** The events of a job on a ComfyUI up to its images. */
export function workEvents(): GenerateWithProgressResponse[] {
  return [
    staged({ case: "accepted", value: { resolvedSpec: { prompt: "a red fox", seed: 42n } } }),
    staged({ case: "queued", value: { jobsAhead: 2, attempt: 1 } }),
    staged({ case: "started", value: { backend: { name: "gpu-a" }, attempt: 1, nodeCount: 7 } }),
    staged({ case: "nodeStarted", value: { nodeId: "3", classType: "KSampler", title: "KSampler" } }),
    staged({
      case: "progress",
      value: { nodeId: "3", step: 10, steps: 20, fraction: 0.47, remaining: durationFromMs(9_000) },
    }),
  ];
}

/** The end of a job that made `images`. */
export function completedEvent(images: readonly Image[], builtIn = false): GenerateWithProgressResponse {
  const backend = builtIn
    ? { name: "built-in", comfyuiVersion: "0.4.0", builtIn }
    : { name: "gpu-a", comfyuiVersion: "0.4.1" };
  const result = {
    jobId: "0b5c",
    images: images.map((image) => create(ImageSchema, { ...image, data: new Uint8Array() })),
    resolvedSpec: { prompt: "a red fox", seed: 42n, model: "dream.safetensors" },
    backend,
    attemptCount: 1,
    timings: { queue: durationFromMs(1_200), total: durationFromMs(12_300) },
  };
  return staged({ case: "completed", value: { result } });
}

/** A whole job that makes one image of `data`, inline. */
export function jobEvents(data: Uint8Array, builtIn = false): GenerateWithProgressResponse[] {
  const image = imageOf(data);
  return [
    ...workEvents(),
    staged({ case: "image", value: { image, chunked: false } }),
    completedEvent([image], builtIn),
  ];
}
