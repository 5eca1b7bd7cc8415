import sharp, { type Metadata, type Sharp, type SharpOptions } from "sharp";
import type { ImageFormat } from "../../domain/image.ts";
import type { InspectLimits, UploadFacts } from "../image-codec.ts";
import { detectMediaType, type UploadMediaType } from "../media-type.ts";
import { damaged, notAnImage, tooManyPixels } from "../rejections.ts";
import { assertWellFormed } from "../strip-metadata.ts";

const formatOf: Readonly<Record<UploadMediaType, ImageFormat | undefined>> = {
  "image/png": "png",
  "image/jpeg": "jpeg",
  "image/webp": "webp",
  "image/avif": "avif",
  "image/gif": undefined,
};

/** How sharp calls them. */
const sharpFormatOf: Readonly<Record<UploadMediaType, string>> = {
  "image/png": "png",
  "image/jpeg": "jpeg",
  "image/webp": "webp",
  "image/avif": "heif",
  "image/gif": "gif",
};

/** See `ImageCodec.inspect`. */
export async function inspect(data: Uint8Array, { maxPixels }: InspectLimits): Promise<UploadFacts> {
  const mediaType = detectMediaType(data);
  if (mediaType === undefined) {
    throw notAnImage();
  }
  assertWellFormed(data, mediaType);
  const facts = await readHeader(data, mediaType);
  const { widthPx, heightPx, frames } = sizeOf(facts);
  if (widthPx * heightPx * frames > maxPixels) {
    throw tooManyPixels({ widthPx, heightPx, frames }, maxPixels);
  }
  await decode(data, mediaType, maxPixels);
  const format = formatOf[mediaType];
  return { mediaType, ...(format !== undefined && { format }), widthPx, heightPx };
}

/** Reads what the file says about itself, and decodes nothing; hence no limit but ours. */
async function readHeader(data: Uint8Array, mediaType: UploadMediaType): Promise<Metadata> {
  const facts = await open(data, mediaType, false)
    .metadata()
    .catch((cause) => {
      throw damaged(mediaType, cause);
    });
  if (facts.format !== sharpFormatOf[mediaType]) {
    throw damaged(mediaType, new Error(`it is a ${facts.format}`));
  }
  return facts;
}

/**
 * Decodes every pixel, a few rows at a time where the format allows it: shrinking needs them all, and leaves little.
 * libvips itself refuses what is larger than the limit, should a header say something else than what it heads.
 */
async function decode(data: Uint8Array, mediaType: UploadMediaType, maxPixels: number): Promise<void> {
  try {
    await open(data, mediaType, maxPixels)
      .resize(8, 8, { fit: "fill", fastShrinkOnLoad: false })
      .raw()
      .toBuffer();
  } catch (cause) {
    throw damaged(mediaType, cause);
  }
}

function open(data: Uint8Array, mediaType: UploadMediaType, limitInputPixels: number | false): Sharp {
  const isMaybeAnimated = mediaType === "image/gif" || mediaType === "image/webp";
  const options: SharpOptions = {
    limitInputPixels,
    // Not "warning": cameras write files that give warnings and that everything shows.
    failOn: "error",
    ...(isMaybeAnimated && { pages: -1 }),
  };
  return sharp(data, options);
}

/** libvips puts the frames of an animation below each other. */
function sizeOf(facts: Metadata): { widthPx: number; heightPx: number; frames: number } {
  const { autoOrient, pageHeight, pages = 1 } = facts;
  return pageHeight === undefined
    ? { widthPx: autoOrient.width, heightPx: autoOrient.height, frames: 1 }
    : { widthPx: facts.width, heightPx: pageHeight, frames: pages };
}
