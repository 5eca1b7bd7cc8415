import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type ListTemplateVersionsRequest,
  type ListTemplateVersionsResponse,
  ListTemplateVersionsResponseSchema,
} from "../../../gen/comfyrpc/v1/workflow_service_pb.js";
import type { TemplateService } from "../../templates/template-service.ts";
import { callSignal } from "../call-signal.ts";
import { callerOf } from "../caller-of.ts";
import { toListedTemplateMessage } from "../convert/template.ts";
import { createPageToken, foreignPageToken, parsePageToken } from "../page-token.ts";

/** `WorkflowService.ListTemplateVersions`. A page begins below the last number of the one before. */
export function listTemplateVersions({
  templates,
}: {
  readonly templates: Pick<TemplateService, "listVersions">;
}) {
  return async (
    { name, pageSize, pageToken }: ListTemplateVersionsRequest,
    context: HandlerContext,
  ): Promise<ListTemplateVersionsResponse> => {
    const size = pageSize || defaultPageSize;
    const asked = { versionsOf: name };
    const before = pageToken === "" ? undefined : readPosition(parsePageToken(pageToken, asked));
    // One more than asked for tells whether there is another page.
    const found = await templates.listVersions(
      ...([name, before, size + 1, callerOf(context), callSignal(context)] as const),
    );
    const page = found.slice(0, size);
    const last = found.length > size ? page.at(-1) : undefined;
    return create(ListTemplateVersionsResponseSchema, {
      templates: page.map(toListedTemplateMessage),
      nextPageToken: last === undefined ? "" : createPageToken(writePosition(last.version), asked),
    });
  };
}

function writePosition(version: number): Buffer {
  const position = Buffer.alloc(4);
  position.writeUInt32BE(version);
  return position;
}

function readPosition(position: Buffer): number {
  if (position.length !== 4) {
    throw foreignPageToken();
  }
  return position.readUInt32BE();
}

const defaultPageSize = 50;
