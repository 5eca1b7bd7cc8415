import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type DeleteTemplateRequest,
  type DeleteTemplateResponse,
  DeleteTemplateResponseSchema,
} from "../../../gen/comfyrpc/v1/workflow_service_pb.js";
import type { TemplateService } from "../../templates/template-service.ts";
import { callSignal } from "../call-signal.ts";
import { callerOf } from "../caller-of.ts";

/** `WorkflowService.DeleteTemplate`. */
export function deleteTemplate({ templates }: { readonly templates: Pick<TemplateService, "remove"> }) {
  return async (
    { name, version }: DeleteTemplateRequest,
    context: HandlerContext,
  ): Promise<DeleteTemplateResponse> => {
    await templates.remove(name, version, callerOf(context), callSignal(context));
    return create(DeleteTemplateResponseSchema);
  };
}
