import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type GenerateWithProgressRequest,
  type GenerateWithProgressResponse,
  GenerateWithProgressResponseSchema,
} from "../../../gen/comfyrpc/v1/image_service_pb.js";
import { type JobEvent as JobEventMessage, JobEventSchema } from "../../../gen/comfyrpc/v1/job_event_pb.js";
import type { ImageInfo } from "../../domain/image.ts";
import type { JobEvent } from "../../domain/job-event.ts";
import type { JobService } from "../../jobs/job-service.ts";
import type { BlobStore } from "../../storage/blob-store.ts";
import { callSignal } from "../call-signal.ts";
import { fromSpecMessage, toEventMessage, toImageInit } from "../convert.ts";
import { specOf } from "./required-spec.ts";

/** Just under 256 KiB, so that a chunk and what frames it fit into a buffer of that size. */
const chunkBytes = 255 * 1024;

/** `ImageService.GenerateWithProgress`: submit, and pass on what happens. */
export function generateWithProgress({
  jobs,
  blobs,
}: {
  readonly jobs: JobService;
  readonly blobs: BlobStore;
}) {
  return async function* (
    request: GenerateWithProgressRequest,
    context: HandlerContext,
  ): AsyncGenerator<GenerateWithProgressResponse> {
    const signal = callSignal(context);
    const job = await jobs.submit(fromSpecMessage(specOf(request)), signal);
    for await (const event of job.events(0n, signal)) {
      const messages =
        event.data.type === "image"
          ? imageMessages(job.id, event, event.data.image)
          : [toEventMessage(job.id, event)];
      for await (const message of messages) {
        yield create(GenerateWithProgressResponseSchema, { event: message });
      }
    }

    /** An image with its data, or without and then its data in chunks. */
    async function* imageMessages(
      jobId: string,
      event: JobEvent,
      image: ImageInfo,
    ): AsyncGenerator<JobEventMessage> {
      const common = { sequence: event.sequence, emitTime: timestampFromDate(event.time), jobId };
      const announce = (data: Uint8Array<ArrayBuffer> | undefined) =>
        create(JobEventSchema, {
          ...common,
          event: {
            case: "image",
            value: { image: { ...toImageInit(image), ...(data && { data }) }, chunked: data === undefined },
          },
        });
      if (image.sizeBytes <= job.generation.output.inlineLimitBytes) {
        for await (const data of blobs.read(image.blobId, image.sizeBytes, signal)) {
          yield announce(data);
        }
        return;
      }
      yield announce(undefined);
      let offset = 0n;
      for await (const data of blobs.read(image.blobId, chunkBytes, signal)) {
        const value = { imageIndex: image.index, offset, data };
        yield create(JobEventSchema, { ...common, event: { case: "imageChunk", value } });
        offset += BigInt(data.length);
      }
    }
  };
}
