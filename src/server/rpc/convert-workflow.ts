import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type ConvertWorkflowRequest,
  type ConvertWorkflowResponse,
  ConvertWorkflowResponseSchema,
} from "../../../gen/comfyrpc/v1/workflow_service_pb.js";
import { hasErrors } from "../../domain/workflow/graph-problem.ts";
import type { WorkflowResolver } from "../../jobs/workflow-resolver.ts";
import { writeJson } from "../../lib/lossless-json.ts";
import { callSignal } from "../call-signal.ts";
import { toProblemInits } from "../convert/dry-run.ts";

/** `WorkflowService.ConvertWorkflow`. */
export function convertWorkflow({ workflows }: { readonly workflows: Pick<WorkflowResolver, "convert"> }) {
  return async (
    { workflowJson }: ConvertWorkflowRequest,
    context: HandlerContext,
  ): Promise<ConvertWorkflowResponse> => {
    const { graph, problems } = await workflows.convert(workflowJson, "workflow_json", callSignal(context));
    return create(ConvertWorkflowResponseSchema, {
      workflowJson: hasErrors(problems) ? "" : writeJson(graph),
      problems: toProblemInits(problems),
    });
  };
}
