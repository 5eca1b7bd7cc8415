import type { JobEvent as JobEventMessage } from "../../../gen/comfyrpc/v1/job_event_pb.js";
import type { JobEvent } from "../../domain/job-event.ts";
import type { JobRecord } from "../../domain/job-record.ts";
import type { Caller } from "../../jobs/caller.ts";
import { chunkBytes } from "../chunk-bytes.ts";
import { toEventMessage, wrapEvent } from "../convert/event.ts";
import { toImageInit } from "../convert/result.ts";
import { type ImageSource, readImage, readImageInChunks } from "./read-image.ts";

/**
 * Writes an event of `job` for callers who want the bytes of its images: an image has its data inside; above the inline
 * limit of the job none, and its data follows in chunks. Nothing is read before it is asked for, so that a slow reader
 * holds one message at most.
 *
 * @throws ServiceError `JOB_NOT_FOUND` if the job is removed meanwhile
 */
export async function* eventMessages(
  job: Pick<JobRecord, "id" | "generation">,
  event: JobEvent,
  source: ImageSource,
  caller: Caller,
  signal: AbortSignal,
): AsyncGenerator<JobEventMessage> {
  if (event.data.type !== "image") {
    yield toEventMessage(job.id, event);
    return;
  }
  const { image } = event.data;
  if (image.sizeBytes <= job.generation.output.inlineLimitBytes) {
    const data = await readImage(source, job.id, image, caller, signal);
    yield wrapEvent(job.id, event, {
      case: "image",
      value: { image: { ...toImageInit(image), data }, chunked: false },
    });
    return;
  }
  yield wrapEvent(job.id, event, { case: "image", value: { image: toImageInit(image), chunked: true } });
  let offset = 0n;
  for await (const data of readImageInChunks(source, job.id, image, chunkBytes, caller, signal)) {
    yield wrapEvent(job.id, event, { case: "imageChunk", value: { imageIndex: image.index, offset, data } });
    offset += BigInt(data.length);
  }
}
