import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type RegisterTemplateRequest,
  type RegisterTemplateResponse,
  RegisterTemplateResponseSchema,
} from "../../../gen/comfyrpc/v1/workflow_service_pb.js";
import type { TemplateService } from "../../templates/template-service.ts";
import { callSignal } from "../call-signal.ts";
import { callerOf } from "../caller-of.ts";
import { fromParameterMessages, toTemplateMessage } from "../convert/template.ts";

/** `WorkflowService.RegisterTemplate`. */
export function registerTemplate({
  templates,
}: {
  readonly templates: Pick<TemplateService, "register" | "validate">;
}) {
  return async (
    request: RegisterTemplateRequest,
    context: HandlerContext,
  ): Promise<RegisterTemplateResponse> => {
    const { name, description, workflowJson, validateOnly } = request;
    const asked = { name, description, workflowJson, parameters: fromParameterMessages(request.parameters) };
    const [caller, signal] = [callerOf(context), callSignal(context)];
    if (validateOnly) {
      const template = await templates.validate(asked, caller, signal);
      return create(RegisterTemplateResponseSchema, { template: toTemplateMessage(template) });
    }
    const { template, isNew } = await templates.register(asked, caller, signal);
    return create(RegisterTemplateResponseSchema, { template: toTemplateMessage(template), created: isNew });
  };
}
