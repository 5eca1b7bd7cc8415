import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type DeleteJobRequest,
  type DeleteJobResponse,
  DeleteJobResponseSchema,
} from "../../../gen/comfyrpc/v1/job_service_pb.js";
import type { JobService } from "../../jobs/job-service.ts";
import { callSignal } from "../call-signal.ts";
import { callerOf } from "../caller-of.ts";

/** `JobService.DeleteJob`. */
export function deleteJob({ jobs }: { readonly jobs: Pick<JobService, "delete"> }) {
  return async ({ jobId }: DeleteJobRequest, context: HandlerContext): Promise<DeleteJobResponse> => {
    await jobs.delete(jobId.toLowerCase(), callerOf(context), callSignal(context));
    return create(DeleteJobResponseSchema);
  };
}
