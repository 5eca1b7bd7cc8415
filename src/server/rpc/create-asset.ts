import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type CreateAssetRequest,
  type CreateAssetResponse,
  CreateAssetResponseSchema,
} from "../../../gen/comfyrpc/v1/asset_service_pb.js";
import type { AssetService } from "../../assets/asset-service.ts";
import { inOnePiece } from "../../lib/in-one-piece.ts";
import { toAssetMessage } from "../convert/asset.ts";
import { receiveUpload } from "./receive-upload.ts";

/** `AssetService.CreateAsset`: an upload in one message. */
export function createAsset({ assets }: { readonly assets: Pick<AssetService, "upload" | "checkUpload"> }) {
  return async (
    { info, data }: CreateAssetRequest,
    context: HandlerContext,
  ): Promise<CreateAssetResponse> => {
    const asset = await receiveUpload(assets, info, inOnePiece(data), context);
    return create(CreateAssetResponseSchema, { asset: toAssetMessage(asset) });
  };
}
