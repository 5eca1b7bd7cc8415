import type { ImageFormat } from "../domain/image.ts";

/** Reads and writes image formats. */
export interface ImageCodec {
  /**
   * Encodes an image anew as `format`, without its metadata.
   *
   * @throws ServiceError `NO_OUTPUT` if the bytes are not an image that can be read
   */
  encode(source: Uint8Array, format: ImageFormat, quality: number | undefined): Promise<EncodedImage>;

  /** Size and format of an image, read from its first bytes or from all of them; `undefined` if it is none. */
  probe(source: Uint8Array): Promise<ImageFacts | undefined>;

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
