import sharp, { type Sharp } from "sharp";
import { ServiceError } from "../../domain/errors.ts";
import { defaultQuality, type ImageFormat } from "../../domain/image.ts";
import type { EncodedImage, ImageCodec, ImageFacts } from "../image-codec.ts";
import { inspect } from "./inspect.ts";
import { strip } from "./strip.ts";
import { toInput } from "./to-input.ts";

/**
 * An image codec made of sharp (libvips). It works off the main thread, in libuv's thread pool, which it shares with the
 * file system and name lookups: as many images as the pool has threads keep those waiting.
 */
export const sharpImageCodec: ImageCodec = { encode, measure, preview, inspect, strip, toInput };

async function encode(source: Uint8Array, format: ImageFormat, quality?: number): Promise<EncodedImage> {
  return unlessUnreadable(async () => {
    const { data, info } = await write(sharp(source), format, quality).toBuffer({ resolveWithObject: true });
    return { data, format, widthPx: info.width, heightPx: info.height };
  });
}

async function measure(source: Uint8Array, format: ImageFormat): Promise<ImageFacts> {
  return unlessUnreadable(async () => {
    const { format: found, autoOrient } = await sharp(source).metadata();
    if (found !== (format === "avif" ? "heif" : format)) {
      throw new Error(`it is a ${found}`);
    }
    return { format, widthPx: autoOrient.width, heightPx: autoOrient.height };
  });
}

async function preview(
  source: Uint8Array,
  maxSidePx: number,
  format: "jpeg" | "webp",
): Promise<EncodedImage> {
  return unlessUnreadable(async () => {
    const facts = await sharp(source).metadata();
    if (facts.format === format && Math.max(facts.width, facts.height) <= maxSidePx) {
      return { data: source, format, widthPx: facts.width, heightPx: facts.height };
    }
    const small = sharp(source).resize(maxSidePx, maxSidePx, { fit: "inside", withoutEnlargement: true });
    const { data, info } = await write(small, format, undefined).toBuffer({ resolveWithObject: true });
    return { data, format, widthPx: info.width, heightPx: info.height };
  });
}

function write(image: Sharp, format: ImageFormat, quality: number | undefined): Sharp {
  switch (format) {
    case "png":
      return image.png();
    case "jpeg":
      return image.flatten({ background: "#fff" }).jpeg({ quality: quality ?? defaultQuality.jpeg });
    case "webp":
      return image.webp({ quality: quality ?? defaultQuality.webp });
    case "avif":
      return image.avif({ quality: quality ?? defaultQuality.avif, effort: 3 });
  }
}

async function unlessUnreadable<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw new ServiceError(
      "NO_OUTPUT",
      "the backend returned a file that is not a readable image",
      {},
      { cause },
    );
  }
}
