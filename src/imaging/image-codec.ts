import type { ImageFormat } from "../domain/image.ts";

/** Reads and writes image formats. */
export interface ImageCodec {
  /**
   * Encodes an image anew as `format`, without its metadata.
   *
   * @throws ServiceError `NO_OUTPUT` if the bytes are not an image that can be read
   */
  encode(source: Uint8Array, format: ImageFormat, quality: number | undefined): Promise<EncodedImage>;

  /**
   * Makes a preview: scaled down so that no side is longer than `maxSidePx`, as `format`. One that fits already and is
   * in that format comes back as it is.
   *
   * @throws ServiceError `NO_OUTPUT` if the bytes are not an image that can be read
   */
  preview(source: Uint8Array, maxSidePx: number, format: "jpeg" | "webp"): Promise<EncodedImage>;
}

export interface ImageFacts {
  readonly format: ImageFormat;
  readonly widthPx: number;
  readonly heightPx: number;
}

export interface EncodedImage extends ImageFacts {
  readonly data: Uint8Array;
}
