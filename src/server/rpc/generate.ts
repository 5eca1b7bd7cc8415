import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type GenerateRequest,
  type GenerateResponse,
  GenerateResponseSchema,
} from "../../../gen/comfyrpc/v1/image_service_pb.js";
import { ServiceError } from "../../domain/errors.ts";
import type { ImageInfo } from "../../domain/image.ts";
import type { GenerationResult } from "../../domain/job-event.ts";
import type { Job } from "../../jobs/job.ts";
import type { JobService } from "../../jobs/job-service.ts";
import type { BlobStore } from "../../storage/blob-store.ts";
import { callSignal } from "../call-signal.ts";
import { fromSpecMessage, toImageInit, toResultMessage } from "../convert.ts";
import { requestIdOf } from "../request-id.ts";
import { readImage } from "./read-image.ts";
import { specOf } from "./required-spec.ts";

/** `ImageService.Generate`: submit, wait, collect. */
export function generate({ jobs, blobs }: { readonly jobs: JobService; readonly blobs: BlobStore }) {
  return async (request: GenerateRequest, context: HandlerContext): Promise<GenerateResponse> => {
    const signal = callSignal(context);
    const { preview: _, ...spec } = fromSpecMessage(specOf(request)); // nobody would see previews
    const job = await jobs.submit(spec, requestIdOf(context.requestHeader), signal);
    const result = await resultOf(job, signal);
    assertFits(result.images, job.generation.output.inlineLimitBytes);
    const images = await Promise.all(
      result.images.map(async (image) => ({
        ...toImageInit(image),
        data: await readImage(blobs, image, signal),
      })),
    );
    return create(GenerateResponseSchema, { images, result: toResultMessage(job.id, result) });
  };
}

async function resultOf(job: Job, signal: AbortSignal): Promise<GenerationResult> {
  for await (const { data } of job.events(0n, signal)) {
    if (data.type === "completed") {
      return data.result;
    }
  }
  throw new Error(`job ${job.id} ended without a result`);
}

function assertFits(images: readonly ImageInfo[], limitBytes: number): void {
  const sizeBytes = images.reduce((total, image) => total + image.sizeBytes, 0);
  if (sizeBytes > limitBytes) {
    throw new ServiceError(
      "RESPONSE_TOO_LARGE",
      `the images have ${sizeBytes} bytes, the inline limit is ${limitBytes}: call GenerateWithProgress, which sends ` +
        "them in chunks, or raise spec.output.inline_limit_bytes together with the message limit of your client",
      { metadata: { size_bytes: `${sizeBytes}`, limit_bytes: `${limitBytes}` } },
    );
  }
}
