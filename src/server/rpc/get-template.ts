import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type GetTemplateRequest,
  type GetTemplateResponse,
  GetTemplateResponseSchema,
} from "../../../gen/comfyrpc/v1/workflow_service_pb.js";
import type { TemplateService } from "../../templates/template-service.ts";
import { callSignal } from "../call-signal.ts";
import { callerOf } from "../caller-of.ts";
import { fromRevisionMessage, toTemplateMessage } from "../convert/template.ts";

/** `WorkflowService.GetTemplate`. */
export function getTemplate({ templates }: { readonly templates: Pick<TemplateService, "get"> }) {
  return async (
    { name, revision }: GetTemplateRequest,
    context: HandlerContext,
  ): Promise<GetTemplateResponse> => {
    const wanted = fromRevisionMessage(revision);
    const template = await templates.get(name, wanted, callerOf(context), callSignal(context));
    return create(GetTemplateResponseSchema, { template: toTemplateMessage(template) });
  };
}
