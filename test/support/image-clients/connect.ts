import { type DescMessage, fromJson, type JsonValue, type MessageShape, toJson } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import {
  createGrpcTransport,
  createConnectTransport as createNodeConnectTransport,
  Http2SessionManager,
} from "@connectrpc/connect-node";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { z } from "zod";
import { GenerationSpecSchema } from "../../../gen/comfyrpc/v1/generation_pb.js";
import {
  GenerateResponseSchema,
  GenerateWithProgressResponseSchema,
  HealthResponseSchema,
  ImageService,
} from "../../../gen/comfyrpc/v1/image_service_pb.js";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from "../../../gen/google/rpc/error_details_pb.js";
import { CallError, type CallOptions, type ImageClient, type Json } from "./image-client.ts";

/** connect-web as a browser has it: the Connect protocol in JSON, by `fetch` over HTTP/1.1. */
export async function openConnectWeb(url: string): Promise<ImageClient> {
  return clientOf(createConnectTransport({ baseUrl: url }));
}

/** connect-web with the Connect protocol in binary, by `fetch` over HTTP/1.1. */
export async function openConnectWebBinary(url: string): Promise<ImageClient> {
  return clientOf(createConnectTransport({ baseUrl: url, useBinaryFormat: true }));
}

/** connect-web with gRPC-Web, by `fetch` over HTTP/1.1. */
export async function openGrpcWeb(url: string): Promise<ImageClient> {
  return clientOf(createGrpcWebTransport({ baseUrl: url }));
}

/** connect-node with gRPC, over HTTP/2. */
export async function openConnectNodeGrpc(url: string): Promise<ImageClient> {
  const sessionManager = new Http2SessionManager(url);
  return clientOf(createGrpcTransport({ baseUrl: url, sessionManager }), () => sessionManager.abort());
}

/** connect-node with the Connect protocol in binary, over HTTP/2. */
export async function openConnectNode(url: string): Promise<ImageClient> {
  const sessionManager = new Http2SessionManager(url);
  const transport = createNodeConnectTransport({ baseUrl: url, httpVersion: "2", sessionManager });
  return clientOf(transport, () => sessionManager.abort());
}

function clientOf(transport: Transport, close: () => void = () => {}): ImageClient {
  const client = createClient(ImageService, transport);
  return {
    async generate(spec, options, signal) {
      try {
        const response = await client.generate({ spec: messageOf(spec) }, { ...options, signal });
        return toJson(GenerateResponseSchema, response);
      } catch (error) {
        throw toCallError(error);
      }
    },
    async *generateWithProgress(spec: Json, options: CallOptions, signal: AbortSignal) {
      try {
        const events = client.generateWithProgress({ spec: messageOf(spec) }, { ...options, signal });
        for await (const event of events) yield toJson(GenerateWithProgressResponseSchema, event);
      } catch (error) {
        throw toCallError(error);
      }
    },
    async health(signal) {
      return toJson(HealthResponseSchema, await client.health({}, { signal }));
    },
    [Symbol.asyncDispose]: async () => close(),
  };
}

function messageOf(spec: Json): MessageShape<typeof GenerationSpecSchema> {
  const json: JsonValue = z.json().parse(spec);
  return fromJson(GenerationSpecSchema, json);
}

function toCallError(error: unknown): unknown {
  if (!(error instanceof ConnectError)) return error;
  const schemas: readonly DescMessage[] = [ErrorInfoSchema, BadRequestSchema, RetryInfoSchema];
  const details = schemas.flatMap((schema) =>
    error.findDetails(schema).map((detail) => [schema.typeName, toJson(schema, detail)] as const),
  );
  return new CallError(codeText(error.code), error.rawMessage, new Map(details));
}

function codeText(code: Code): string {
  return Code[code].replace(/(?<=.)[A-Z]/g, "_$&").toLowerCase();
}
