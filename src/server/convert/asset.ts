import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type Asset, AssetSchema } from "../../../gen/comfyrpc/v1/asset_pb.js";
import type { UploadInfo as UploadInfoMessage } from "../../../gen/comfyrpc/v1/asset_service_pb.js";
import type { UploadInfo } from "../../assets/upload-info.ts";
import type { AssetRecord } from "../../storage/asset-store.ts";
import { fromDuration } from "./time.ts";

/** Writes what is known of an asset. */
export function toAssetMessage(asset: AssetRecord): Asset {
  return create(AssetSchema, {
    assetId: asset.id,
    mediaType: asset.mediaType,
    sizeBytes: BigInt(asset.sizeBytes),
    sha256: asset.id,
    widthPx: asset.widthPx ?? 0,
    heightPx: asset.heightPx ?? 0,
    fileName: asset.fileName,
    createTime: timestampFromDate(asset.createTime),
    expireTime: timestampFromDate(asset.expireTime),
    ...(asset.origin && { origin: { seed: 0n, imageIndex: 0, ...asset.origin } }),
  });
}

/**
 * Reads what an upload is; one that says nothing has every default.
 *
 * @throws ServiceError `INVALID_FIELD` if the retention is no length of time
 */
export function fromUploadInfoMessage(info: UploadInfoMessage | undefined): UploadInfo {
  const { fileName = "", sha256 = "", stripMetadata = false, retention } = info ?? {};
  return {
    fileName: fileName.toWellFormed(),
    stripMetadata,
    ...(sha256 !== "" && { sha256 }),
    ...(retention && { retentionMs: fromDuration(retention, "info.retention") }),
  };
}
