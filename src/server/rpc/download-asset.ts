import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type DownloadAssetRequest,
  type DownloadAssetResponse,
  DownloadAssetResponseSchema,
} from "../../../gen/comfyrpc/v1/asset_service_pb.js";
import type { AssetService } from "../../assets/asset-service.ts";
import { ServiceError } from "../../domain/errors.ts";
import { callSignal } from "../call-signal.ts";
import { callerOf } from "../caller-of.ts";
import { chunkBytes } from "../chunk-bytes.ts";
import { toAssetMessage } from "../convert/asset.ts";

/** `AssetService.DownloadAsset`: reads as fast as the caller does. */
export function downloadAsset({ assets }: { readonly assets: Pick<AssetService, "get" | "open"> }) {
  return async function* (
    request: DownloadAssetRequest,
    context: HandlerContext,
  ): AsyncGenerator<DownloadAssetResponse> {
    const signal = callSignal(context);
    const asset = await assets.get(request.assetId, callerOf(context), signal);
    if (request.offset > BigInt(asset.sizeBytes)) {
      throw new ServiceError(
        "OFFSET_OUT_OF_RANGE",
        `offset: is ${request.offset}, the asset has ${asset.sizeBytes} bytes`,
        { metadata: { offset: `${request.offset}`, size_bytes: `${asset.sizeBytes}` } },
      );
    }
    yield create(DownloadAssetResponseSchema, { asset: toAssetMessage(asset), offset: request.offset });
    // More than any asset has is as good as all, and fits into a number.
    const lengthBytes = request.limitBytes === 0n ? asset.sizeBytes : Number(request.limitBytes);
    let { offset } = request;
    for await (const data of assets.open(
      asset,
      { offset: Number(offset), lengthBytes, chunkBytes },
      signal,
    )) {
      yield create(DownloadAssetResponseSchema, { offset, data });
      offset += BigInt(data.length);
    }
  };
}
