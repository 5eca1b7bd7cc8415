import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  AssetService,
  type DownloadAssetRequestSchema,
  type DownloadAssetResponse,
  type SignAssetUrlRequestSchema,
  type SignAssetUrlResponse,
  type UploadAssetRequestSchema,
  type UploadAssetResponse,
} from "../../gen/comfyrpc/v1/asset_service_pb.js";
import type { GrpcChannel } from "./grpc-channel.ts";

/** `comfyrpc.v1.AssetService`. Failed calls throw `RpcError`; aborting `signal` ends the call. */
export interface AssetClient {
  /** Sends `requests` one by one as the service takes them. */
  uploadAsset(
    requests: AsyncIterable<MessageInitShape<typeof UploadAssetRequestSchema>>,
    signal: AbortSignal,
  ): Promise<UploadAssetResponse>;
  downloadAsset(
    request: MessageInitShape<typeof DownloadAssetRequestSchema>,
    signal: AbortSignal,
  ): AsyncIterable<DownloadAssetResponse>;
  /** Fails with `DEADLINE_EXCEEDED` if the answer takes more than 30 seconds. */
  signAssetUrl(
    request: MessageInitShape<typeof SignAssetUrlRequestSchema>,
    signal: AbortSignal,
  ): Promise<SignAssetUrlResponse>;
}

/** The service behind `channel`, which stays the caller's to dispose of. */
export function createAssetClient(channel: GrpcChannel): AssetClient {
  const { uploadAsset, downloadAsset, signAssetUrl } = AssetService.method;
  return {
    uploadAsset: (requests, signal) => channel.clientStreaming(uploadAsset, requests, {}, signal),
    downloadAsset: (request, signal) => channel.serverStreaming(downloadAsset, request, {}, signal),
    signAssetUrl: (request, signal) => channel.unary(signAssetUrl, request, { timeoutMs: 30_000 }, signal),
  };
}
