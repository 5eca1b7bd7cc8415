import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  CatalogService,
  type GetNodeClassRequestSchema,
  type GetNodeClassResponse,
  type GetServerInfoResponse,
  type ListModelsRequestSchema,
  type ListModelsResponse,
  type ListNodeClassesRequestSchema,
  type ListNodeClassesResponse,
  type ListSamplersRequestSchema,
  type ListSamplersResponse,
  type ListSchedulersRequestSchema,
  type ListSchedulersResponse,
} from "../../gen/comfyrpc/v1/catalog_service_pb.js";
import type { GrpcChannel } from "./grpc-channel.ts";

/**
 * `comfyrpc.v1.CatalogService`. Failed calls throw `RpcError`. Aborting `signal` ends the call. A call fails with
 * `DEADLINE_EXCEEDED` if it takes more than 30 seconds.
 */
export interface CatalogClient {
  getServerInfo(signal: AbortSignal): Promise<GetServerInfoResponse>;
  listModels(
    request: MessageInitShape<typeof ListModelsRequestSchema>,
    signal: AbortSignal,
  ): Promise<ListModelsResponse>;
  listSamplers(
    request: MessageInitShape<typeof ListSamplersRequestSchema>,
    signal: AbortSignal,
  ): Promise<ListSamplersResponse>;
  listSchedulers(
    request: MessageInitShape<typeof ListSchedulersRequestSchema>,
    signal: AbortSignal,
  ): Promise<ListSchedulersResponse>;
  listNodeClasses(
    request: MessageInitShape<typeof ListNodeClassesRequestSchema>,
    signal: AbortSignal,
  ): Promise<ListNodeClassesResponse>;
  getNodeClass(
    request: MessageInitShape<typeof GetNodeClassRequestSchema>,
    signal: AbortSignal,
  ): Promise<GetNodeClassResponse>;
}

const timeLimit = { timeoutMs: 30_000 };

/** The service behind `channel`, which stays the caller's to dispose of. */
export function createCatalogClient(channel: GrpcChannel): CatalogClient {
  const methods = CatalogService.method;
  return {
    getServerInfo: (signal) => channel.unary(methods.getServerInfo, {}, timeLimit, signal),
    listModels: (request, signal) => channel.unary(methods.listModels, request, timeLimit, signal),
    listSamplers: (request, signal) => channel.unary(methods.listSamplers, request, timeLimit, signal),
    listSchedulers: (request, signal) => channel.unary(methods.listSchedulers, request, timeLimit, signal),
    listNodeClasses: (request, signal) => channel.unary(methods.listNodeClasses, request, timeLimit, signal),
    getNodeClass: (request, signal) => channel.unary(methods.getNodeClass, request, timeLimit, signal),
  };
}
