import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type WatchBatchRequest,
  type WatchBatchResponse,
  WatchBatchResponseSchema,
} from "../../../gen/comfyrpc/v1/job_service_pb.js";
import type { JobService } from "../../jobs/job-service.ts";
import type { BlobStore } from "../../storage/blob-store.ts";
import { callSignal } from "../call-signal.ts";
import { callerOf } from "../caller-of.ts";
import { toEventMessage } from "../convert/event.ts";
import { eventMessages } from "./event-messages.ts";

export interface WatchBatchDependencies {
  readonly jobs: Pick<JobService, "get" | "watchBatch">;
  readonly blobs: Pick<BlobStore, "read">;
}

/** `JobService.WatchBatch`. The chunks of an image come right after it, and no event of another job in between. */
export function watchBatch({ jobs, blobs }: WatchBatchDependencies) {
  return async function* (
    request: WatchBatchRequest,
    context: HandlerContext,
  ): AsyncGenerator<WatchBatchResponse> {
    const signal = callSignal(context);
    const caller = callerOf(context);
    const after = new Map(
      Object.entries(request.afterSequences).map(([jobId, sequence]) => [jobId.toLowerCase(), sequence]),
    );
    const events = jobs.watchBatch(request.batchId.toLowerCase(), after, caller, signal);
    for await (const { job, event } of events) {
      if (!request.imageData) {
        yield create(WatchBatchResponseSchema, { event: toEventMessage(job.id, event) });
        continue;
      }
      for await (const message of eventMessages(job, event, { jobs, blobs }, caller, signal)) {
        yield create(WatchBatchResponseSchema, { event: message });
      }
    }
  };
}
