import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type GetTemplateSchemaRequest,
  type GetTemplateSchemaResponse,
  GetTemplateSchemaResponseSchema,
} from "../../../gen/comfyrpc/v1/workflow_service_pb.js";
import type { TemplateService } from "../../templates/template-service.ts";
import { callSignal } from "../call-signal.ts";
import { callerOf } from "../caller-of.ts";
import { fromRevisionMessage } from "../convert/template.ts";

/** `WorkflowService.GetTemplateSchema`. */
export function getTemplateSchema({
  templates,
}: {
  readonly templates: Pick<TemplateService, "jsonSchema">;
}) {
  return async (
    { name, revision }: GetTemplateSchemaRequest,
    context: HandlerContext,
  ): Promise<GetTemplateSchemaResponse> => {
    const wanted = fromRevisionMessage(revision);
    const schema = await templates.jsonSchema(name, wanted, callerOf(context), callSignal(context));
    return create(GetTemplateSchemaResponseSchema, { jsonSchema: schema.text, version: schema.version });
  };
}
