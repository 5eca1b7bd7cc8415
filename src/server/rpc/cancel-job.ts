import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type CancelJobRequest,
  type CancelJobResponse,
  CancelJobResponseSchema,
} from "../../../gen/comfyrpc/v1/job_service_pb.js";
import type { JobService } from "../../jobs/job-service.ts";
import { callSignal } from "../call-signal.ts";
import { callerOf } from "../caller-of.ts";
import { messageState, toJobMessage } from "../convert/job.ts";

/** `JobService.CancelJob`. */
export function cancelJob({ jobs }: { readonly jobs: Pick<JobService, "cancel"> }) {
  return async (request: CancelJobRequest, context: HandlerContext): Promise<CancelJobResponse> => {
    const jobId = request.jobId.toLowerCase();
    const { job, foundIn } = await jobs.cancel(jobId, callerOf(context), callSignal(context));
    return create(CancelJobResponseSchema, { job: toJobMessage(job), foundState: messageState[foundIn] });
  };
}
