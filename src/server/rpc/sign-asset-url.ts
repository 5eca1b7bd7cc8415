import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type SignAssetUrlRequest,
  type SignAssetUrlResponse,
  SignAssetUrlResponseSchema,
} from "../../../gen/comfyrpc/v1/asset_service_pb.js";
import type { AssetService } from "../../assets/asset-service.ts";
import { callSignal } from "../call-signal.ts";
import { callerOf } from "../caller-of.ts";
import { fromDuration } from "../convert/time.ts";

/** `AssetService.SignAssetUrl`. */
export function signAssetUrl({ assets }: { readonly assets: Pick<AssetService, "sign"> }) {
  return async (
    { assetId, ttl }: SignAssetUrlRequest,
    context: HandlerContext,
  ): Promise<SignAssetUrlResponse> => {
    const ttlMs = ttl === undefined ? defaultTtlMs : fromDuration(ttl, "ttl");
    const { url, expireTime } = await assets.sign(assetId, ttlMs, callerOf(context), callSignal(context));
    return create(SignAssetUrlResponseSchema, { url, expireTime: timestampFromDate(expireTime) });
  };
}

const defaultTtlMs = 3_600_000;
