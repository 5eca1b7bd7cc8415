import sharp, { type Metadata, type Sharp } from "sharp";
import type { InputPicture, InspectLimits } from "../image-codec.ts";
import { detectMediaType, type UploadMediaType } from "../media-type.ts";
import { damaged, notAnImage, tooManyPixels } from "../rejections.ts";
import { hasTransparentColour, isAnimatedPng } from "../strip-metadata.ts";

/** See `ImageCodec.toInput`. */
export async function toInput(data: Uint8Array, { maxPixels }: InspectLimits): Promise<InputPicture> {
  const mediaType = detectMediaType(data);
  if (mediaType === undefined) {
    throw notAnImage();
  }
  const orDamaged = (cause: unknown): never => {
    throw damaged(mediaType, cause);
  };
  const facts = await open(data, false).metadata().catch(orDamaged);
  if (facts.width * facts.height > maxPixels) {
    throw tooManyPixels({ widthPx: facts.width, heightPx: facts.height, frames: 1 }, maxPixels);
  }
  return await convert(data, mediaType, facts, maxPixels).catch(orDamaged);
}

async function convert(
  data: Uint8Array,
  mediaType: UploadMediaType,
  facts: Metadata,
  maxPixels: number,
): Promise<InputPicture> {
  const { width: widthPx, height: heightPx } = facts.autoOrient;
  if (isPlain(data, mediaType, facts)) {
    return { data, mediaType, widthPx, heightPx, ...(await look(data, facts, maxPixels)) };
  }
  const png = await open(data, maxPixels).autoOrient().toColourspace("srgb").png().toBuffer();
  const looks = await look(png, await open(png, maxPixels).metadata(), maxPixels);
  return { data: png, mediaType: "image/png", widthPx, heightPx, ...looks };
}

/**
 * Whether ComfyUI reads the file as it is meant. Of an animation it would make as many pictures as it has frames; it cuts
 * 16 bits of grey to white, knows no colour profiles, which CMYK is nothing without, and overlooks a transparent colour.
 */
function isPlain(
  data: Uint8Array,
  mediaType: UploadMediaType,
  { depth, space, pages = 1 }: Metadata,
): mediaType is InputPicture["mediaType"] {
  if (depth !== "uchar" || (space !== "srgb" && space !== "b-w")) {
    return false;
  }
  switch (mediaType) {
    case "image/png":
      return !isAnimatedPng(data) && !hasTransparentColour(data);
    case "image/jpeg":
      return true;
    case "image/webp":
      return pages === 1;
    case "image/avif": // not every build of Pillow reads it
    case "image/gif": // a frame may be smaller than its picture
      return false;
  }
}

/** Decodes every pixel, so that what is damaged shows here and not in the middle of a job. */
async function look(
  data: Uint8Array,
  { hasAlpha }: Pick<Metadata, "hasAlpha">,
  maxPixels: number,
): Promise<Pick<InputPicture, "hasTransparency" | "redRange">> {
  const { isOpaque, channels } = await open(data, maxPixels).stats();
  const [red = { min: 0, max: 255 }] = channels; // grey images have no other
  return { hasTransparency: hasAlpha && !isOpaque, redRange: [red.min, red.max] };
}

/** Of an animation, its first frame. libvips refuses what is larger than the limit, whatever its header says. */
function open(data: Uint8Array, limitInputPixels: number | false): Sharp {
  return sharp(data, { limitInputPixels, failOn: "error" });
}
