import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type ConvertWorkflowResponse,
  type ValidateWorkflowRequestSchema,
  type ValidateWorkflowResponse,
  WorkflowService,
} from "../../gen/comfyrpc/v1/workflow_service_pb.js";
import type { GrpcChannel } from "./grpc-channel.ts";

/**
 * What `comfyrpc.v1.WorkflowService` says of workflows. Failed calls throw `RpcError`. Aborting `signal` ends the call. A
 * call fails with `DEADLINE_EXCEEDED` if it takes more than a minute: a backend may have to describe its node classes.
 */
export interface WorkflowClient {
  validate(
    request: MessageInitShape<typeof ValidateWorkflowRequestSchema>,
    signal: AbortSignal,
  ): Promise<ValidateWorkflowResponse>;
  convert(workflowJson: string, signal: AbortSignal): Promise<ConvertWorkflowResponse>;
}

const timeLimit = { timeoutMs: 60_000 };

/** The service behind `channel`, which stays the caller's to dispose of. */
export function createWorkflowClient(channel: GrpcChannel): WorkflowClient {
  const { validateWorkflow, convertWorkflow } = WorkflowService.method;
  return {
    validate: (request, signal) => channel.unary(validateWorkflow, request, timeLimit, signal),
    convert: (workflowJson, signal) => channel.unary(convertWorkflow, { workflowJson }, timeLimit, signal),
  };
}
