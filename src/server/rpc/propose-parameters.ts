import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type ProposeParametersRequest,
  type ProposeParametersResponse,
  ProposeParametersResponseSchema,
} from "../../../gen/comfyrpc/v1/workflow_service_pb.js";
import type { TemplateService } from "../../templates/template-service.ts";
import { callSignal } from "../call-signal.ts";
import { toParameterInit } from "../convert/template.ts";

/** `WorkflowService.ProposeParameters`. */
export function proposeParameters({ templates }: { readonly templates: Pick<TemplateService, "propose"> }) {
  return async (
    { workflowJson }: ProposeParametersRequest,
    context: HandlerContext,
  ): Promise<ProposeParametersResponse> => {
    const parameters = await templates.propose(workflowJson, callSignal(context));
    return create(ProposeParametersResponseSchema, { parameters: parameters.map(toParameterInit) });
  };
}
