import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type ValidateWorkflowRequest,
  type ValidateWorkflowResponse,
  ValidateWorkflowResponseSchema,
} from "../../../gen/comfyrpc/v1/workflow_service_pb.js";
import type { JobService } from "../../jobs/job-service.ts";
import { callSignal } from "../call-signal.ts";
import { callerOf } from "../caller-of.ts";
import { toDryRunInit } from "../convert/dry-run.ts";
import { fromSpecMessage } from "../convert/spec.ts";
import { specOf } from "./required-spec.ts";

/** `WorkflowService.ValidateWorkflow`. */
export function validateWorkflow({ jobs }: { readonly jobs: Pick<JobService, "dryRun"> }) {
  return async (
    request: ValidateWorkflowRequest,
    context: HandlerContext,
  ): Promise<ValidateWorkflowResponse> => {
    const spec = fromSpecMessage(specOf(request));
    const dryRun = await jobs.dryRun(spec, callerOf(context), callSignal(context));
    return create(ValidateWorkflowResponseSchema, { dryRun: toDryRunInit(dryRun) });
  };
}
