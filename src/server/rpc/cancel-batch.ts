import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type CancelBatchRequest,
  type CancelBatchResponse,
  CancelBatchResponseSchema,
} from "../../../gen/comfyrpc/v1/job_service_pb.js";
import type { JobService } from "../../jobs/job-service.ts";
import { callSignal } from "../call-signal.ts";
import { callerOf } from "../caller-of.ts";
import { messageState, toBatchMessage } from "../convert/job.ts";

/** `JobService.CancelBatch`. */
export function cancelBatch({ jobs }: { readonly jobs: Pick<JobService, "cancelBatch"> }) {
  return async (request: CancelBatchRequest, context: HandlerContext): Promise<CancelBatchResponse> => {
    const batchId = request.batchId.toLowerCase();
    const { batch, foundIn } = await jobs.cancelBatch(batchId, callerOf(context), callSignal(context));
    return create(CancelBatchResponseSchema, {
      batch: toBatchMessage(batch),
      foundStates: foundIn.map((state) => messageState[state]),
    });
  };
}
