import type { ImageFormat } from "../domain/image.ts";
import { inOnePiece } from "../lib/in-one-piece.ts";
import type { AddedMetadata } from "./added-metadata.ts";
import { addToAvif } from "./containers/avif-metadata.ts";
import { addToJpeg } from "./containers/jpeg.ts";
import { MalformedError } from "./containers/segments.ts";
import { addToWebp } from "./containers/webp.ts";
import { exifWithComment } from "./exif-comment.ts";
import { PngStream } from "./png-stream.ts";
import { xmpPacket } from "./xmp-packet.ts";

/**
 * Writes metadata into an image where programs look for them in its format: an XMP packet; the parameters in a text of a
 * PNG, or the user comment of EXIF. The container alone is changed, and the picture in it stays byte for byte as it is.
 *
 * @returns `undefined` if the image is built in a way that does not allow it
 */
export async function addMetadata(
  data: Uint8Array,
  format: ImageFormat,
  added: AddedMetadata,
): Promise<Uint8Array | undefined> {
  const { xmp: facts, parameters } = added;
  if (format === "png") {
    return Buffer.concat(await Array.fromAsync(new PngStream(inOnePiece(data), added)));
  }
  const xmp = facts && ((existing: string | undefined) => xmpPacket(facts, existing));
  const exif = parameters === undefined ? undefined : exifWithComment(parameters, "ComfyRPC");
  try {
    switch (format) {
      case "jpeg":
        return addToJpeg(data, xmp, exif);
      case "webp":
        return addToWebp(data, xmp, exif);
      case "avif":
        return addToAvif(data, xmp, exif);
    }
  } catch (error) {
    if (error instanceof MalformedError) {
      return undefined;
    }
    throw error;
  }
}
