import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type GetJobRequest,
  type GetJobResponse,
  GetJobResponseSchema,
} from "../../../gen/comfyrpc/v1/job_service_pb.js";
import type { JobService } from "../../jobs/job-service.ts";
import { callSignal } from "../call-signal.ts";
import { callerOf } from "../caller-of.ts";
import { toJobMessage } from "../convert/job.ts";

/** `JobService.GetJob`. */
export function getJob({ jobs }: { readonly jobs: Pick<JobService, "get"> }) {
  return async ({ jobId }: GetJobRequest, context: HandlerContext): Promise<GetJobResponse> => {
    const job = await jobs.get(jobId.toLowerCase(), callerOf(context), callSignal(context));
    return create(GetJobResponseSchema, { job: toJobMessage(job) });
  };
}
