import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type GetAssetRequest,
  type GetAssetResponse,
  GetAssetResponseSchema,
} from "../../../gen/comfyrpc/v1/asset_service_pb.js";
import type { AssetService } from "../../assets/asset-service.ts";
import { callSignal } from "../call-signal.ts";
import { callerOf } from "../caller-of.ts";
import { toAssetMessage } from "../convert/asset.ts";

/** `AssetService.GetAsset`. */
export function getAsset({ assets }: { readonly assets: Pick<AssetService, "get"> }) {
  return async ({ assetId }: GetAssetRequest, context: HandlerContext): Promise<GetAssetResponse> => {
    const asset = await assets.get(assetId, callerOf(context), callSignal(context));
    return create(GetAssetResponseSchema, { asset: toAssetMessage(asset) });
  };
}
