import { AssetService as AssetServiceSchema } from "../../gen/comfyrpc/v1/asset_service_pb.js";
import type { AssetService } from "../assets/asset-service.ts";
import { createAsset } from "./rpc/create-asset.ts";
import { downloadAsset } from "./rpc/download-asset.ts";
import { getAsset } from "./rpc/get-asset.ts";
import { signAssetUrl } from "./rpc/sign-asset-url.ts";
import { uploadAsset } from "./rpc/upload-asset.ts";
import type { Routes } from "./rpc-handler.ts";

/** Serves `comfyrpc.v1.AssetService`. */
export function assetServiceRoutes({ assets }: { readonly assets: AssetService }): Routes {
  return (router) =>
    router.service(AssetServiceSchema, {
      uploadAsset: uploadAsset({ assets }),
      createAsset: createAsset({ assets }),
      getAsset: getAsset({ assets }),
      downloadAsset: downloadAsset({ assets }),
      signAssetUrl: signAssetUrl({ assets }),
    });
}
