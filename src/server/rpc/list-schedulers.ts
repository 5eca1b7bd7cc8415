import type { HandlerContext } from "@connectrpc/connect";
import {
  type ListSchedulersRequest,
  type ListSchedulersResponse,
  ListSchedulersResponseSchema,
} from "../../../gen/comfyrpc/v1/catalog_service_pb.js";
import type { CatalogService } from "../../catalog/catalog-service.ts";
import { callSignal } from "../call-signal.ts";
import { toNamedInit } from "../convert/catalog.ts";
import { tagged } from "../etag.ts";

/** `CatalogService.ListSchedulers`. */
export function listSchedulers({ catalog }: { readonly catalog: Pick<CatalogService, "schedulers"> }) {
  return async (
    { backend, ifNoneMatch }: ListSchedulersRequest,
    context: HandlerContext,
  ): Promise<ListSchedulersResponse> => {
    const { entries, backends } = await catalog.schedulers(backend, callSignal(context));
    return tagged(
      ListSchedulersResponseSchema,
      { schedulers: entries.map(toNamedInit), backends: [...backends] },
      ifNoneMatch,
    );
  };
}
