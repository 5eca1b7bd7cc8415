import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type GenerateRequestSchema,
  type GenerateResponse,
  type GenerateWithProgressRequestSchema,
  type GenerateWithProgressResponse,
  type HealthResponse,
  ImageService,
} from "../../gen/comfyrpc/v1/image_service_pb.js";
import type { CallOptions, GrpcChannel } from "./grpc-channel.ts";

/**
 * `comfyrpc.v1.ImageService`. Failed calls throw `RpcError`. Aborting `signal`, or leaving the loop over the events
 * early, cancels the call, and so the work on the backend.
 */
export interface ImageClient {
  generate(
    request: MessageInitShape<typeof GenerateRequestSchema>,
    options: CallOptions,
    signal: AbortSignal,
  ): Promise<GenerateResponse>;

  generateWithProgress(
    request: MessageInitShape<typeof GenerateWithProgressRequestSchema>,
    options: CallOptions,
    signal: AbortSignal,
  ): AsyncIterable<GenerateWithProgressResponse>;

  health(options: CallOptions, signal: AbortSignal): Promise<HealthResponse>;
}

/** The service behind `channel`, which stays the caller's to dispose of. */
export function createImageClient(channel: GrpcChannel): ImageClient {
  const { generate, generateWithProgress, health } = ImageService.method;
  return {
    generate: (request, options, signal) => channel.unary(generate, request, options, signal),
    generateWithProgress: (request, options, signal) =>
      channel.serverStreaming(generateWithProgress, request, options, signal),
    health: (options, signal) => channel.unary(health, {}, options, signal),
  };
}
