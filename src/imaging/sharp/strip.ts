import sharp, { type Metadata } from "sharp";
import { isServiceError } from "../../domain/errors.ts";
import { detectMediaType, type UploadMediaType } from "../media-type.ts";
import { damaged, notAnImage, notStrippable } from "../rejections.ts";
import { isAnimatedPng, isLosslessWebp, stripMetadata } from "../strip-metadata.ts";

/** Of what is encoded anew to be turned: so high that it cannot be told from the original. */
const quality = 95;

/** See `ImageCodec.strip`. */
export async function strip(data: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  const mediaType = detectMediaType(data);
  if (mediaType === undefined) {
    throw notAnImage();
  }
  return stripMetadata(await turned(data, mediaType), mediaType);
}

/** The picture turned as its EXIF orientation says; as it is if that says nothing. */
async function turned(data: Uint8Array, mediaType: UploadMediaType): Promise<Uint8Array> {
  if (mediaType === "image/gif" || mediaType === "image/avif") {
    return data; // has no EXIF, or says it another way, which is not metadata
  }
  try {
    const facts = await sharp(data, { limitInputPixels: false }).metadata();
    if ((facts.orientation ?? 1) === 1) {
      return data;
    }
    assertStill(data, mediaType, facts);
    return await turn(data, mediaType, facts);
  } catch (error) {
    throw isServiceError(error) ? error : damaged(mediaType, error);
  }
}

function assertStill(data: Uint8Array, mediaType: UploadMediaType, { pages = 1 }: Metadata): void {
  if (pages > 1 || (mediaType === "image/png" && isAnimatedPng(data))) {
    throw notStrippable("it is an animation that has to be turned");
  }
}

async function turn(
  data: Uint8Array,
  mediaType: "image/png" | "image/jpeg" | "image/webp",
  { depth, hasProfile }: Metadata,
): Promise<Uint8Array> {
  const image = sharp(data, { limitInputPixels: false }).autoOrient();
  if (hasProfile) {
    image.keepIccProfile();
  }
  if (depth === "ushort") {
    image.toColourspace("rgb16"); // else it would be given back in 8 bits
  }
  switch (mediaType) {
    case "image/png":
      return await image.png().toBuffer();
    case "image/jpeg":
      return await image.jpeg({ quality, chromaSubsampling: "4:4:4" }).toBuffer();
    case "image/webp":
      return await image
        .webp(isLosslessWebp(data) ? { lossless: true, exact: true } : { quality })
        .toBuffer();
  }
}
