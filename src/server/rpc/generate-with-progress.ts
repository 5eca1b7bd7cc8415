import { create, type MessageInitShape } from "@bufbuild/protobuf";
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
import type { Job } from "../../jobs/job.ts";
import type { JobService } from "../../jobs/job-service.ts";
import type { BlobStore } from "../../storage/blob-store.ts";
import { callSignal } from "../call-signal.ts";
import { fromSpecMessage, toEventMessage, toImageInit } from "../convert.ts";
import { requestIdOf } from "../request-id.ts";
import { readImage } from "./read-image.ts";
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
    const spec = fromSpecMessage(specOf(request));
    const job = await jobs.submit(spec, requestIdOf(context.requestHeader), signal);
    for await (const event of job.events(0n, signal)) {
      if (event.data.type !== "image") {
        yield wrap(toEventMessage(job.id, event.data, event));
        continue;
      }
      for await (const message of imageMessages(job, event, event.data.image, blobs, signal)) {
        yield wrap(message);
      }
    }
  };
}

function wrap(event: JobEventMessage): GenerateWithProgressResponse {
  return create(GenerateWithProgressResponseSchema, { event });
}

/** An image with its data; above the inline limit without, and then its data in chunks. */
async function* imageMessages(
  { id: jobId, generation }: Job,
  { sequence, time }: JobEvent,
  image: ImageInfo,
  blobs: BlobStore,
  signal: AbortSignal,
): AsyncGenerator<JobEventMessage> {
  const message = (event: NonNullable<MessageInitShape<typeof JobEventSchema>["event"]>) =>
    create(JobEventSchema, { sequence, emitTime: timestampFromDate(time), jobId, event });
  if (image.sizeBytes <= generation.output.inlineLimitBytes) {
    const data = await readImage(blobs, image, signal);
    yield message({ case: "image", value: { image: { ...toImageInit(image), data }, chunked: false } });
    return;
  }
  yield message({ case: "image", value: { image: toImageInit(image), chunked: true } });
  let offset = 0n;
  for await (const data of blobs.read(image.blobId, chunkBytes, signal)) {
    yield message({ case: "imageChunk", value: { imageIndex: image.index, offset, data } });
    offset += BigInt(data.length);
  }
}
