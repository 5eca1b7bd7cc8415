import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type SetTemplateAliasRequest,
  type SetTemplateAliasResponse,
  SetTemplateAliasResponseSchema,
} from "../../../gen/comfyrpc/v1/workflow_service_pb.js";
import type { TemplateService } from "../../templates/template-service.ts";
import { callSignal } from "../call-signal.ts";
import { callerOf } from "../caller-of.ts";
import { toListedTemplateMessage } from "../convert/template.ts";

/** `WorkflowService.SetTemplateAlias`. */
export function setTemplateAlias({ templates }: { readonly templates: Pick<TemplateService, "setAlias"> }) {
  return async (
    { name, alias, version }: SetTemplateAliasRequest,
    context: HandlerContext,
  ): Promise<SetTemplateAliasResponse> => {
    const template = await templates.setAlias(name, alias, version, callerOf(context), callSignal(context));
    return create(SetTemplateAliasResponseSchema, { template: toListedTemplateMessage(template) });
  };
}
