import type { OutputPlace } from "./output.ts";

/** An image file format that we return. */
export type ImageFormat = "png" | "jpeg" | "webp" | "avif";

/** Media type of each format. */
export const mediaTypeOf: Readonly<Record<ImageFormat, string>> = {
  png: "image/png",
  jpeg: "image/jpeg",
  webp: "image/webp",
  avif: "image/avif",
};

/** Quality used for a lossy format when none is asked for, 1 to 100. */
export const defaultQuality: Readonly<Record<Exclude<ImageFormat, "png">, number>> = {
  jpeg: 85,
  webp: 80,
  avif: 60,
};

/** A finished image of a job. Its bytes are the asset of the same SHA-256. */
export interface ImageInfo {
  /** Position among the images of the job, from 0. */
  readonly index: number;
  readonly nodeId: string;
  readonly format: ImageFormat;
  readonly widthPx: number;
  readonly heightPx: number;
  readonly sizeBytes: number;
  /** Lowercase hexadecimal. */
  readonly sha256: string;
  /** That it was sampled with; absent if it was not sampled, or nobody can tell. */
  readonly seed?: bigint;
  /** Where it was found, if nobody had planned it. */
  readonly place?: OutputPlace;
  /** If one was asked for. */
  readonly thumbnail?: ThumbnailInfo;
}

/** A small version of an image. Its bytes are the asset of the same SHA-256. */
export interface ThumbnailInfo {
  readonly format: ImageFormat;
  readonly widthPx: number;
  readonly heightPx: number;
  readonly sizeBytes: number;
  /** Lowercase hexadecimal. */
  readonly sha256: string;
}
