import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type ListTemplatesRequest,
  type ListTemplatesResponse,
  ListTemplatesResponseSchema,
} from "../../../gen/comfyrpc/v1/workflow_service_pb.js";
import type { TemplateService } from "../../templates/template-service.ts";
import { callSignal } from "../call-signal.ts";
import { callerOf } from "../caller-of.ts";
import { toListedTemplateMessage } from "../convert/template.ts";
import { createPageToken, parsePageToken } from "../page-token.ts";

/** `WorkflowService.ListTemplates`. A page begins after the last name of the one before. */
export function listTemplates({ templates }: { readonly templates: Pick<TemplateService, "list"> }) {
  return async (
    { pageSize, pageToken }: ListTemplatesRequest,
    context: HandlerContext,
  ): Promise<ListTemplatesResponse> => {
    const size = pageSize || defaultPageSize;
    const after = pageToken === "" ? undefined : parsePageToken(pageToken, asked).toString();
    // One more than asked for tells whether there is another page.
    const found = await templates.list(after, size + 1, callerOf(context), callSignal(context));
    const page = found.slice(0, size);
    const last = found.length > size ? page.at(-1) : undefined;
    return create(ListTemplatesResponseSchema, {
      templates: page.map(toListedTemplateMessage),
      nextPageToken: last === undefined ? "" : createPageToken(Buffer.from(last.name), asked),
    });
  };
}

const asked = "templates";
const defaultPageSize = 50;
