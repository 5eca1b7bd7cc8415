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
import type { JobRecord } from "../../domain/job-record.ts";
import type { JobService } from "../../jobs/job-service.ts";
import type { BlobStore } from "../../storage/blob-store.ts";
import { callerOf } from "../caller-of.ts";
import { toImageInit, toResultMessage } from "../convert/result.ts";
import { fromSpecMessage } from "../convert/spec.ts";
import { errorOfJob } from "../errors.ts";
import { submitOptionsOf } from "../submit-options-of.ts";
import { readImage } from "./read-image.ts";
import { specOf } from "./required-spec.ts";
import { validated } from "./validated.ts";
import { waitingCallSignal, withJobId } from "./waiting-call.ts";

export interface GenerateDependencies {
  readonly jobs: Pick<JobService, "generate" | "follow" | "get" | "validate">;
  readonly blobs: Pick<BlobStore, "read">;
}

/** `ImageService.Generate`: submit, wait, collect. */
export function generate({ jobs, blobs }: GenerateDependencies) {
  return async (request: GenerateRequest, context: HandlerContext): Promise<GenerateResponse> => {
    const specMessage = specOf(request);
    const signal = waitingCallSignal(specMessage, request, context);
    const caller = callerOf(context);
    const { preview: _, ...spec } = fromSpecMessage(specMessage); // nobody would see previews
    if (request.validateOnly) {
      return create(GenerateResponseSchema, await validated({ jobs }, spec, request, context));
    }
    const job = await jobs.generate(spec, submitOptionsOf(request, context), caller, signal);
    try {
      const result = await resultOf(job, jobs, signal);
      assertFits(result.images, job.generation.output.inlineLimitBytes);
      const images = await Promise.all(
        result.images.map(async (image) => ({
          ...toImageInit(image),
          data: await readImage({ jobs, blobs }, job.id, image, caller, signal),
        })),
      );
      return create(GenerateResponseSchema, { images, result: toResultMessage(job.id, result) });
    } catch (error) {
      throw withJobId(job.id, error);
    }
  };
}

/** A job that was there before may have ended already; what is known of it need not be read again. */
async function resultOf(
  job: JobRecord,
  jobs: Pick<JobService, "follow">,
  signal: AbortSignal,
): Promise<GenerationResult> {
  if (job.result !== undefined) {
    return job.result;
  }
  if (job.endTime !== undefined && job.failure !== undefined) {
    throw errorOfJob(job.id, job.failure);
  }
  for await (const { data } of jobs.follow(job, job.lastSequence, signal)) {
    if (data.type === "completed") {
      return data.result;
    }
    if (data.type === "failed") {
      throw errorOfJob(job.id, data.failure);
    }
  }
  throw new Error(`what happens to job ${job.id} ended without its last event`);
}

function assertFits(images: readonly ImageInfo[], limitBytes: number): void {
  const sizeBytes = images.reduce((total, image) => total + image.sizeBytes, 0);
  if (sizeBytes > limitBytes) {
    throw new ServiceError(
      "RESPONSE_TOO_LARGE",
      `the images have ${sizeBytes} bytes, the inline limit is ${limitBytes}: fetch each by AssetService or from ` +
        "GET /assets/{sha256} (GetJob names them), call GenerateWithProgress, which sends them in chunks, or raise " +
        "spec.output.inline_limit_bytes together with the message limit of your client",
      { metadata: { size_bytes: `${sizeBytes}`, limit_bytes: `${limitBytes}` } },
    );
  }
}
