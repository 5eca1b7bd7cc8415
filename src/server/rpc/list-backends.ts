import { create } from "@bufbuild/protobuf";
import {
  type ListBackendsResponse,
  ListBackendsResponseSchema,
} from "../../../gen/comfyrpc/v1/catalog_service_pb.js";
import { type BackendFacts, toBackendHealthMessage } from "../convert/health.ts";

/** `CatalogService.ListBackends`. */
export function listBackends(backends: () => readonly BackendFacts[]) {
  return (): ListBackendsResponse =>
    create(ListBackendsResponseSchema, { backends: backends().map(toBackendHealthMessage) });
}
