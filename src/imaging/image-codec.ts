import type { ImageFormat } from "../domain/image.ts";
import type { UploadMediaType } from "./media-type.ts";

/** Reads and writes image formats. */
export interface ImageCodec {
  /**
   * Encodes an image anew as `format`, without its metadata.
   *
   * @throws ServiceError `NO_OUTPUT` if the bytes are not an image that can be read
   */
  encode(source: Uint8Array, format: ImageFormat, quality: number | undefined): Promise<EncodedImage>;

  /**
   * Tells the size of an image as it is to be shown, from its header alone.
   *
   * @throws ServiceError `NO_OUTPUT` if the bytes are not an image of this format
   */
  measure(source: Uint8Array, format: ImageFormat): Promise<ImageFacts>;

  /**
   * Makes a preview: scaled down so that no side is longer than `maxSidePx`, as `format`. One that fits already and is
   * in that format comes back as it is.
   *
   * @throws ServiceError `NO_OUTPUT` if the bytes are not an image that can be read
   */
  preview(source: Uint8Array, maxSidePx: number, format: "jpeg" | "webp"): Promise<EncodedImage>;

  /**
   * Tells what an uploaded image is, by its bytes alone, and that all of it can be decoded. Nothing is decoded of one
   * that is too large.
   *
   * @throws ServiceError `ASSET_REJECTED` if it is none of `UploadMediaType`, is damaged, or has too many pixels
   */
  inspect(data: Uint8Array, limits: InspectLimits): Promise<UploadFacts>;

  /**
   * Removes the metadata of an image that was inspected, and keeps its media type and its colour profile. The picture
   * stays exactly as it is, unless its metadata say that it is to be turned: then it is turned, and a JPEG or a lossy
   * WebP encoded anew for that, in high quality.
   *
   * @throws ServiceError `ASSET_REJECTED` if it is damaged, or an animation that cannot be done
   */
  strip(data: Uint8Array): Promise<Uint8Array<ArrayBuffer>>;

  /**
   * Makes of an image one that every backend reads, and in the same way: a still picture of 8 bits in PNG, JPEG or WebP.
   * That is the file itself where it is such a one, else a PNG of it, in sRGB, of its first frame, turned as its metadata
   * say, and without them. Nothing is decoded of one that is too large.
   *
   * @throws ServiceError `ASSET_REJECTED` if it is no image, is damaged, or its first frame has too many pixels
   */
  toInput(data: Uint8Array, limits: InspectLimits): Promise<InputPicture>;
}

export interface InspectLimits {
  /** Most pixels, those of all frames together where all of an animation is looked at. */
  readonly maxPixels: number;
}

/** What an uploaded image is. */
export interface UploadFacts {
  readonly mediaType: UploadMediaType;
  /** Absent if it is a format that we do not return ourselves. */
  readonly format?: ImageFormat;
  /** As it is to be shown, turned if its metadata say so; of one frame. */
  readonly widthPx: number;
  readonly heightPx: number;
}

/** An image for a backend to read. */
export interface InputPicture {
  /** The very bytes that were given, if they are such a picture already. */
  readonly data: Uint8Array;
  readonly mediaType: "image/png" | "image/jpeg" | "image/webp";
  /** As backends see it: those that turn pictures as their metadata say do so with every picture. */
  readonly widthPx: number;
  readonly heightPx: number;
  /** Whether any of its pixels is not opaque. */
  readonly hasTransparency: boolean;
  /** Least and most red of its pixels, 0 to 255: what it is as a mask. */
  readonly redRange: readonly [least: number, most: number];
}

export interface ImageFacts {
  readonly format: ImageFormat;
  readonly widthPx: number;
  readonly heightPx: number;
}

export interface EncodedImage extends ImageFacts {
  readonly data: Uint8Array;
}
