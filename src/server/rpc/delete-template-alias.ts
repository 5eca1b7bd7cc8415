import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type DeleteTemplateAliasRequest,
  type DeleteTemplateAliasResponse,
  DeleteTemplateAliasResponseSchema,
} from "../../../gen/comfyrpc/v1/workflow_service_pb.js";
import type { TemplateService } from "../../templates/template-service.ts";
import { callSignal } from "../call-signal.ts";
import { callerOf } from "../caller-of.ts";

/** `WorkflowService.DeleteTemplateAlias`. */
export function deleteTemplateAlias({
  templates,
}: {
  readonly templates: Pick<TemplateService, "deleteAlias">;
}) {
  return async (
    { name, alias }: DeleteTemplateAliasRequest,
    context: HandlerContext,
  ): Promise<DeleteTemplateAliasResponse> => {
    await templates.deleteAlias(name, alias, callerOf(context), callSignal(context));
    return create(DeleteTemplateAliasResponseSchema);
  };
}
