import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type GetBatchRequest,
  type GetBatchResponse,
  GetBatchResponseSchema,
} from "../../../gen/comfyrpc/v1/job_service_pb.js";
import type { JobService } from "../../jobs/job-service.ts";
import { callSignal } from "../call-signal.ts";
import { callerOf } from "../caller-of.ts";
import { toBatchMessage } from "../convert/job.ts";

/** `JobService.GetBatch`. */
export function getBatch({ jobs }: { readonly jobs: Pick<JobService, "getBatch"> }) {
  return async ({ batchId }: GetBatchRequest, context: HandlerContext): Promise<GetBatchResponse> => {
    const batch = await jobs.getBatch(batchId.toLowerCase(), callerOf(context), callSignal(context));
    return create(GetBatchResponseSchema, { batch: toBatchMessage(batch) });
  };
}
