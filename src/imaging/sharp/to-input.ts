import sharp, { type Metadata, type Sharp } from "sharp";
import type { InputPicture } from "../image-codec.ts";
import { detectMediaType, type UploadMediaType } from "../media-type.ts";
import { damaged, notAnImage } from "../rejections.ts";
import { hasTransparentColour, isAnimatedPng } from "../strip-metadata.ts";

/** See `ImageCodec.toInput`. */
export async function toInput(data: Uint8Array): Promise<InputPicture> {
  const mediaType = detectMediaType(data);
  if (mediaType === undefined) {
    throw notAnImage();
  }
  try {
    const facts = await open(data).metadata();
    if (isPlain(data, mediaType, facts)) {
      const { width: widthPx, height: heightPx } = facts.autoOrient;
      return { data, mediaType, widthPx, heightPx, hasTransparency: await hasTransparency(data, facts) };
    }
    const png = await toPlainPng(data);
    const { width: widthPx, height: heightPx, ...rest } = await open(png).metadata();
    const transparent = await hasTransparency(png, rest);
    return { data: png, mediaType: "image/png", widthPx, heightPx, hasTransparency: transparent };
  } catch (cause) {
    throw damaged(mediaType, cause);
  }
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

async function toPlainPng(data: Uint8Array): Promise<Buffer> {
  return await open(data).autoOrient().toColourspace("srgb").png().toBuffer();
}

async function hasTransparency(data: Uint8Array, { hasAlpha }: Pick<Metadata, "hasAlpha">): Promise<boolean> {
  return hasAlpha && !(await open(data).stats()).isOpaque;
}

/** Of an animation, its first frame. Whoever stored the file has looked at its size. */
function open(data: Uint8Array): Sharp {
  return sharp(data, { limitInputPixels: false, failOn: "error" });
}
