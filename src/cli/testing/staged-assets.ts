import { createHash } from "node:crypto";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Asset, AssetSchema } from "../../../gen/comfyrpc/v1/asset_pb.js";
import {
  type DownloadAssetRequest,
  type DownloadAssetResponse,
  DownloadAssetResponseSchema,
} from "../../../gen/comfyrpc/v1/asset_service_pb.js";
import type { Image } from "../../../gen/comfyrpc/v1/image_pb.js";
import { imageOf } from "./staged-events.ts";

/** The id that the service gives to `data`. */
export function assetIdOf(data: Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}

/** What the service knows of `data` unless `init` says otherwise. */
export function assetOf(data: Uint8Array, init: MessageInitShape<typeof AssetSchema> = {}): Asset {
  const sha256 = assetIdOf(data);
  const facts = { mediaType: "image/png", sizeBytes: BigInt(data.byteLength), widthPx: 512, heightPx: 512 };
  return create(AssetSchema, { assetId: sha256, sha256, ...facts, ...init });
}

/** An image that is to be fetched by its id. */
export function storedImageOf(data: Uint8Array, index = 0): Image {
  const seed = 42n + BigInt(index);
  return imageOf(data, { data: new Uint8Array(), assetId: assetIdOf(data), index, seed });
}

/** What the service sends of `data` when asked for it, in pieces of 100,000 bytes. */
export function downloadOf(
  data: Uint8Array,
  { offset }: Pick<DownloadAssetRequest, "offset">,
  asset = assetOf(data),
): DownloadAssetResponse[] {
  const responses = [create(DownloadAssetResponseSchema, { asset, offset })];
  for (let start = Number(offset); start < data.byteLength; start += pieceBytes) {
    const piece = data.subarray(start, start + pieceBytes);
    responses.push(create(DownloadAssetResponseSchema, { offset: BigInt(start), data: piece }));
  }
  return responses;
}

const pieceBytes = 100_000;
