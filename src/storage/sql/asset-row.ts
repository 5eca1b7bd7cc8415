import type { Insertable } from "kysely";
import { z } from "zod";
import type { AssetRecord } from "../asset-store.ts";
import type { AssetTable } from "./schema.ts";

const time = z.int().transform((ms) => new Date(ms));

const assetRow = z.object({
  tenant: z.string(),
  id: z.string(),
  size_bytes: z.int(),
  media_type: z.string(),
  width_px: z.int(),
  height_px: z.int(),
  file_name: z.string(),
  create_time: time,
  expire_time: time,
  origin_job_id: z.string().nullable(),
  origin_image_index: z.int().nullable(),
  origin_node_id: z.string().nullable(),
  origin_seed: z.string().nullable(),
});

const originOfRow = z.object({
  jobId: z.string(),
  imageIndex: z.int().exactOptional(),
  nodeId: z.string(),
  seed: z
    .string()
    .regex(/^\d{1,20}$/)
    .transform(BigInt)
    .exactOptional(),
});

/**
 * Reads a row of `assets`.
 *
 * @throws ZodError if it is none
 */
export function readAssetRow(row: unknown): AssetRecord {
  const read = assetRow.parse(row);
  return {
    id: read.id,
    tenant: read.tenant,
    sizeBytes: read.size_bytes,
    mediaType: read.media_type,
    ...(read.width_px > 0 && { widthPx: read.width_px, heightPx: read.height_px }),
    fileName: read.file_name,
    createTime: read.create_time,
    expireTime: read.expire_time,
    ...(read.origin_job_id !== null && {
      origin: originOfRow.parse({
        jobId: read.origin_job_id,
        ...(read.origin_image_index !== null && { imageIndex: read.origin_image_index }),
        nodeId: read.origin_node_id,
        ...(read.origin_seed !== null && { seed: read.origin_seed }),
      }),
    }),
  };
}

/** The row of `assets` that {@link readAssetRow} reads as `asset`. */
export function writeAssetRow(asset: AssetRecord): Insertable<AssetTable> {
  return {
    tenant: asset.tenant,
    id: asset.id,
    size_bytes: asset.sizeBytes,
    media_type: asset.mediaType,
    width_px: asset.widthPx ?? 0,
    height_px: asset.heightPx ?? 0,
    file_name: asset.fileName,
    create_time: asset.createTime.getTime(),
    expire_time: asset.expireTime.getTime(),
    origin_job_id: asset.origin?.jobId ?? null,
    origin_image_index: asset.origin?.imageIndex ?? null,
    origin_node_id: asset.origin?.nodeId ?? null,
    origin_seed: asset.origin?.seed?.toString() ?? null,
  };
}
