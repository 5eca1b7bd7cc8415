import sharp, { type Sharp } from "sharp";
import { ServiceError } from "../../domain/errors.ts";
import { defaultQuality, type ImageFormat } from "../../domain/image.ts";
import type { EncodedImage, ImageCodec, ImageFacts } from "../image-codec.ts";

/** An image codec made of sharp (libvips), which works on threads of its own. */
export const sharpImageCodec: ImageCodec = { encode, probe, preview };

async function encode(source: Uint8Array, format: ImageFormat, quality?: number): Promise<EncodedImage> {
  return unlessUnreadable(async () => {
    const { data, info } = await write(sharp(source), format, quality).toBuffer({ resolveWithObject: true });
    return { data, format, widthPx: info.width, heightPx: info.height };
  });
}

async function probe(source: Uint8Array): Promise<ImageFacts | undefined> {
  try {
    const { format, width, height, compression } = await sharp(source).metadata();
    const ours = format === "heif" && compression === "av1" ? "avif" : format;
    return ours === "png" || ours === "jpeg" || ours === "webp" || ours === "avif"
      ? { format: ours, widthPx: width, heightPx: height }
      : undefined;
  } catch {
    return undefined; // sharp throws for what is no image, and says so only in words
  }
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
