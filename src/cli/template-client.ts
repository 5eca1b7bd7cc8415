import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type DeleteTemplateAliasRequestSchema,
  type DeleteTemplateAliasResponse,
  type DeleteTemplateRequestSchema,
  type DeleteTemplateResponse,
  type GetTemplateRequestSchema,
  type GetTemplateResponse,
  type GetTemplateSchemaRequestSchema,
  type GetTemplateSchemaResponse,
  type ListTemplatesRequestSchema,
  type ListTemplatesResponse,
  type ListTemplateVersionsRequestSchema,
  type ListTemplateVersionsResponse,
  type ProposeParametersRequestSchema,
  type ProposeParametersResponse,
  type RegisterTemplateRequestSchema,
  type RegisterTemplateResponse,
  type SetTemplateAliasRequestSchema,
  type SetTemplateAliasResponse,
  WorkflowService,
} from "../../gen/comfyrpc/v1/workflow_service_pb.js";
import type { GrpcChannel } from "./grpc-channel.ts";

/**
 * The templates of `comfyrpc.v1.WorkflowService`. Failed calls throw `RpcError`. Aborting `signal` ends the call. A call
 * fails with `DEADLINE_EXCEEDED` if it takes more than 30 seconds.
 */
export interface TemplateClient {
  register(
    request: MessageInitShape<typeof RegisterTemplateRequestSchema>,
    signal: AbortSignal,
  ): Promise<RegisterTemplateResponse>;
  propose(
    request: MessageInitShape<typeof ProposeParametersRequestSchema>,
    signal: AbortSignal,
  ): Promise<ProposeParametersResponse>;
  get(
    request: MessageInitShape<typeof GetTemplateRequestSchema>,
    signal: AbortSignal,
  ): Promise<GetTemplateResponse>;
  schema(
    request: MessageInitShape<typeof GetTemplateSchemaRequestSchema>,
    signal: AbortSignal,
  ): Promise<GetTemplateSchemaResponse>;
  list(
    request: MessageInitShape<typeof ListTemplatesRequestSchema>,
    signal: AbortSignal,
  ): Promise<ListTemplatesResponse>;
  listVersions(
    request: MessageInitShape<typeof ListTemplateVersionsRequestSchema>,
    signal: AbortSignal,
  ): Promise<ListTemplateVersionsResponse>;
  setAlias(
    request: MessageInitShape<typeof SetTemplateAliasRequestSchema>,
    signal: AbortSignal,
  ): Promise<SetTemplateAliasResponse>;
  deleteAlias(
    request: MessageInitShape<typeof DeleteTemplateAliasRequestSchema>,
    signal: AbortSignal,
  ): Promise<DeleteTemplateAliasResponse>;
  delete(
    request: MessageInitShape<typeof DeleteTemplateRequestSchema>,
    signal: AbortSignal,
  ): Promise<DeleteTemplateResponse>;
}

const timeLimit = { timeoutMs: 30_000 };

/** The service behind `channel`, which stays the caller's to dispose of. */
export function createTemplateClient(channel: GrpcChannel): TemplateClient {
  const methods = WorkflowService.method;
  return {
    register: (request, signal) => channel.unary(methods.registerTemplate, request, timeLimit, signal),
    propose: (request, signal) => channel.unary(methods.proposeParameters, request, timeLimit, signal),
    get: (request, signal) => channel.unary(methods.getTemplate, request, timeLimit, signal),
    schema: (request, signal) => channel.unary(methods.getTemplateSchema, request, timeLimit, signal),
    list: (request, signal) => channel.unary(methods.listTemplates, request, timeLimit, signal),
    listVersions: (request, signal) =>
      channel.unary(methods.listTemplateVersions, request, timeLimit, signal),
    setAlias: (request, signal) => channel.unary(methods.setTemplateAlias, request, timeLimit, signal),
    deleteAlias: (request, signal) => channel.unary(methods.deleteTemplateAlias, request, timeLimit, signal),
    delete: (request, signal) => channel.unary(methods.deleteTemplate, request, timeLimit, signal),
  };
}
