import type { HandlerContext } from "@connectrpc/connect";
import {
  type ListSamplersRequest,
  type ListSamplersResponse,
  ListSamplersResponseSchema,
} from "../../../gen/comfyrpc/v1/catalog_service_pb.js";
import type { CatalogService } from "../../catalog/catalog-service.ts";
import { aliasesOfSampler } from "../../domain/resolve/sampler-aliases.ts";
import { callSignal } from "../call-signal.ts";
import { toNamedInit } from "../convert/catalog.ts";
import { tagged } from "../etag.ts";

/** `CatalogService.ListSamplers`. */
export function listSamplers({ catalog }: { readonly catalog: Pick<CatalogService, "samplers"> }) {
  return async (
    { backend, ifNoneMatch }: ListSamplersRequest,
    context: HandlerContext,
  ): Promise<ListSamplersResponse> => {
    const { entries, backends } = await catalog.samplers(backend, callSignal(context));
    const names = entries.map(({ name }) => name);
    const samplers = entries.map((entry) => ({
      ...toNamedInit(entry),
      aliases: [...aliasesOfSampler(entry.name, names)],
    }));
    return tagged(ListSamplersResponseSchema, { samplers, backends: [...backends] }, ifNoneMatch);
  };
}
