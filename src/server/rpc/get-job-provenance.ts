import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type GetJobProvenanceRequest,
  type GetJobProvenanceResponse,
  GetJobProvenanceResponseSchema,
} from "../../../gen/comfyrpc/v1/job_service_pb.js";
import type { JobService } from "../../jobs/job-service.ts";
import { callSignal } from "../call-signal.ts";
import { callerOf } from "../caller-of.ts";
import { toProvenanceMessage } from "../convert/provenance.ts";

/** `JobService.GetJobProvenance`. */
export function getJobProvenance({ jobs }: { readonly jobs: Pick<JobService, "get"> }) {
  return async (
    { jobId }: GetJobProvenanceRequest,
    context: HandlerContext,
  ): Promise<GetJobProvenanceResponse> => {
    const job = await jobs.get(jobId.toLowerCase(), callerOf(context), callSignal(context));
    return create(GetJobProvenanceResponseSchema, { provenance: toProvenanceMessage(job) });
  };
}
