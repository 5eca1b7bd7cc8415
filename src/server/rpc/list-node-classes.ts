import { toBinary } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { NodeClassSchema, NodeClassView } from "../../../gen/comfyrpc/v1/catalog_pb.js";
import {
  type ListNodeClassesRequest,
  type ListNodeClassesResponse,
  ListNodeClassesResponseSchema,
} from "../../../gen/comfyrpc/v1/catalog_service_pb.js";
import type { CatalogService } from "../../catalog/catalog-service.ts";
import { callSignal } from "../call-signal.ts";
import { toNodeClassMessage } from "../convert/catalog.ts";
import { tagged } from "../etag.ts";
import { listPage } from "../list-page.ts";

/** `CatalogService.ListNodeClasses`. */
export function listNodeClasses({ catalog }: { readonly catalog: Pick<CatalogService, "nodeClasses"> }) {
  return async (
    request: ListNodeClassesRequest,
    context: HandlerContext,
  ): Promise<ListNodeClassesResponse> => {
    const { nameContains, category, backend, ifNoneMatch } = request;
    const isFull = request.view === NodeClassView.FULL;
    const filter = { nameContains, category };
    const { entries, backends } = await catalog.nodeClasses(filter, backend, callSignal(context));
    const asked = { method: "ListNodeClasses", ...filter, backend };
    const { messages, nextPageToken } = listPage(entries, request, asked, {
      keyOf: ({ name }) => name,
      toMessage: (entry) => toNodeClassMessage(entry, isFull),
      sizeOf: (message) => toBinary(NodeClassSchema, message).byteLength,
    });
    return tagged(
      ListNodeClassesResponseSchema,
      { nodeClasses: [...messages], nextPageToken, backends: [...backends] },
      ifNoneMatch,
    );
  };
}
