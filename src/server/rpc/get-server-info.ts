import {
  type GetServerInfoRequest,
  type GetServerInfoResponse,
  GetServerInfoResponseSchema,
} from "../../../gen/comfyrpc/v1/catalog_service_pb.js";
import type { BackendFacts } from "../convert/health.ts";
import { type ServerFacts, toServerInfoMessage } from "../convert/server-info.ts";
import { tagged } from "../etag.ts";

/** `CatalogService.GetServerInfo`. */
export function getServerInfo(facts: ServerFacts, backends: () => readonly BackendFacts[]) {
  return ({ ifNoneMatch }: GetServerInfoRequest): GetServerInfoResponse =>
    tagged(GetServerInfoResponseSchema, { serverInfo: toServerInfoMessage(facts, backends()) }, ifNoneMatch);
}
