import type { HandlerContext } from "@connectrpc/connect";
import {
  type ListModelsRequest,
  type ListModelsResponse,
  ListModelsResponseSchema,
} from "../../../gen/comfyrpc/v1/catalog_service_pb.js";
import type { CatalogService } from "../../catalog/catalog-service.ts";
import { modelKey } from "../../catalog/merge-catalogs.ts";
import { callSignal } from "../call-signal.ts";
import { fromModelKinds, toModelInit } from "../convert/catalog.ts";
import { tagged } from "../etag.ts";
import { listPage } from "../list-page.ts";

/** `CatalogService.ListModels`. */
export function listModels({ catalog }: { readonly catalog: Pick<CatalogService, "models"> }) {
  return async (request: ListModelsRequest, context: HandlerContext): Promise<ListModelsResponse> => {
    const { nameContains, backend, ifNoneMatch } = request;
    const kinds = fromModelKinds(request.kinds).toSorted();
    const { entries, backends } = await catalog.models({ kinds, nameContains }, backend, callSignal(context));
    const asked = { method: "ListModels", kinds, nameContains, backend };
    const { messages, nextPageToken } = listPage(entries, request, asked, {
      keyOf: modelKey,
      toMessage: toModelInit,
    });
    return tagged(
      ListModelsResponseSchema,
      { models: [...messages], nextPageToken, backends: [...backends] },
      ifNoneMatch,
    );
  };
}
