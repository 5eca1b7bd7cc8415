import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type WatchJobRequest,
  type WatchJobResponse,
  WatchJobResponseSchema,
} from "../../../gen/comfyrpc/v1/job_service_pb.js";
import type { JobService } from "../../jobs/job-service.ts";
import type { BlobStore } from "../../storage/blob-store.ts";
import { callSignal } from "../call-signal.ts";
import { callerOf } from "../caller-of.ts";
import { toEventMessage } from "../convert/event.ts";
import { eventMessages } from "./event-messages.ts";

export interface WatchJobDependencies {
  readonly jobs: Pick<JobService, "get" | "watch">;
  readonly blobs: Pick<BlobStore, "read">;
}

/** `JobService.WatchJob`: what happens, a failure included, which is no failure of the call. */
export function watchJob({ jobs, blobs }: WatchJobDependencies) {
  return async function* (
    request: WatchJobRequest,
    context: HandlerContext,
  ): AsyncGenerator<WatchJobResponse> {
    const signal = callSignal(context);
    const caller = callerOf(context);
    const jobId = request.jobId.toLowerCase();
    const job = request.imageData ? await jobs.get(jobId, caller, signal) : undefined;
    for await (const event of jobs.watch(jobId, request.afterSequence, caller, signal)) {
      if (job === undefined) {
        yield create(WatchJobResponseSchema, { event: toEventMessage(jobId, event) });
        continue;
      }
      for await (const message of eventMessages(job, event, { jobs, blobs }, caller, signal)) {
        yield create(WatchJobResponseSchema, { event: message });
      }
    }
  };
}
