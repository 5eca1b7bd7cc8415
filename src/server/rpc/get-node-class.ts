import type { HandlerContext } from "@connectrpc/connect";
import {
  type GetNodeClassRequest,
  type GetNodeClassResponse,
  GetNodeClassResponseSchema,
} from "../../../gen/comfyrpc/v1/catalog_service_pb.js";
import type { CatalogService } from "../../catalog/catalog-service.ts";
import { callSignal } from "../call-signal.ts";
import { toNodeClassMessage } from "../convert/catalog.ts";
import { tagged } from "../etag.ts";

/** `CatalogService.GetNodeClass`. */
export function getNodeClass({ catalog }: { readonly catalog: Pick<CatalogService, "nodeClass"> }) {
  return async (
    { name, backend, ifNoneMatch }: GetNodeClassRequest,
    context: HandlerContext,
  ): Promise<GetNodeClassResponse> => {
    const entry = await catalog.nodeClass(name, backend, callSignal(context));
    return tagged(GetNodeClassResponseSchema, { nodeClass: toNodeClassMessage(entry, true) }, ifNoneMatch);
  };
}
