import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type SubmitBatchRequest,
  type SubmitBatchResponse,
  SubmitBatchResponseSchema,
} from "../../../gen/comfyrpc/v1/job_service_pb.js";
import type { JobService } from "../../jobs/job-service.ts";
import { callSignal } from "../call-signal.ts";
import { callerOf } from "../caller-of.ts";
import { toBatchMessage } from "../convert/job.ts";
import { fromSpecMessage } from "../convert/spec.ts";
import { expandBatch } from "../expand-batch.ts";
import { createMessageRules } from "../message-rules.ts";
import { submitOptionsOf } from "../submit-options-of.ts";

/** `JobService.SubmitBatch`. */
export function submitBatch({ jobs }: { readonly jobs: Pick<JobService, "submitBatch" | "batchLimit"> }) {
  const rules = createMessageRules();
  return async (request: SubmitBatchRequest, context: HandlerContext): Promise<SubmitBatchResponse> => {
    const specs = expandBatch(request, jobs.batchLimit, rules).map(fromSpecMessage);
    const options = submitOptionsOf(request, context);
    const batch = await jobs.submitBatch(specs, options, callerOf(context), callSignal(context));
    return create(SubmitBatchResponseSchema, { batch: toBatchMessage(batch) });
  };
}
