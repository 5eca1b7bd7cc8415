import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type SubmitJobRequest,
  type SubmitJobResponse,
  SubmitJobResponseSchema,
} from "../../../gen/comfyrpc/v1/job_service_pb.js";
import type { JobService } from "../../jobs/job-service.ts";
import { callSignal } from "../call-signal.ts";
import { callerOf } from "../caller-of.ts";
import { toJobMessage } from "../convert/job.ts";
import { fromSpecMessage } from "../convert/spec.ts";
import { submitOptionsOf } from "../submit-options-of.ts";
import { specOf } from "./required-spec.ts";
import { validated } from "./validated.ts";

/** `JobService.SubmitJob`. */
export function submitJob({ jobs }: { readonly jobs: Pick<JobService, "submit" | "validate"> }) {
  return async (request: SubmitJobRequest, context: HandlerContext): Promise<SubmitJobResponse> => {
    const spec = fromSpecMessage(specOf(request));
    if (request.validateOnly) {
      return create(SubmitJobResponseSchema, await validated({ jobs }, spec, request, context));
    }
    const options = submitOptionsOf(request, context);
    const job = await jobs.submit(spec, options, callerOf(context), callSignal(context));
    return create(SubmitJobResponseSchema, { job: toJobMessage(job) });
  };
}
