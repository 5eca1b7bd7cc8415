import { ServiceError } from "../domain/errors.ts";
import { titleOf, type UploadMediaType } from "./media-type.ts";

/** The file is none of the images that are taken. */
export function notAnImage(): ServiceError {
  return new ServiceError(
    "ASSET_REJECTED",
    "the file is not an image that is taken: upload a PNG, JPEG, WebP, AVIF or GIF",
  );
}

/** The file begins like an image, but cannot be read as one. */
export function damaged(mediaType: UploadMediaType, cause?: unknown): ServiceError {
  return new ServiceError(
    "ASSET_REJECTED",
    `the file begins like a ${titleOf[mediaType]} image, but is damaged, cut short or something else: upload an image that other programs can open`,
    { metadata: { media_type: mediaType } },
    { cause },
  );
}

/** More pixels than are taken, all frames of an animation together. */
export function tooManyPixels(
  { widthPx, heightPx, frames }: { widthPx: number; heightPx: number; frames: number },
  maxPixels: number,
): ServiceError {
  const size = `${widthPx}x${heightPx} pixels${frames > 1 ? ` in ${frames} frames` : ""}`;
  return new ServiceError(
    "ASSET_REJECTED",
    `the image has ${size}: at most ${maxPixels} pixels are taken, all frames together; scale it down`,
    {
      metadata: {
        width_px: String(widthPx),
        height_px: String(heightPx),
        frames: String(frames),
        max_pixels: String(maxPixels),
      },
    },
  );
}

/** Metadata of an image of this kind cannot be removed. */
export function notStrippable(why: string): ServiceError {
  return new ServiceError(
    "ASSET_REJECTED",
    `the metadata of this image cannot be removed: ${why}; upload it with strip_metadata off, or remove them yourself`,
  );
}
