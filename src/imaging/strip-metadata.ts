import { isAvifSequence, stripAvif } from "./containers/avif.ts";
import { segmentsOfGif, stripGif } from "./containers/gif.ts";
import { segmentsOfJpeg, stripJpeg } from "./containers/jpeg.ts";
import { hasTransparentColour, isAnimatedPng, segmentsOfPng, stripPng } from "./containers/png.ts";
import { MalformedError } from "./containers/segments.ts";
import { isLosslessWebp, segmentsOfWebp, stripWebp } from "./containers/webp.ts";
import type { UploadMediaType } from "./media-type.ts";
import { damaged, notStrippable } from "./rejections.ts";

export { hasTransparentColour, isAnimatedPng, isLosslessWebp };

/**
 * Looks whether a file is built as its format says, from its beginning to its end: decoders show what there is of a file
 * that was cut short, and leave out whole frames without a word. AVIF is left to its decoder, which is strict.
 *
 * @throws ServiceError `ASSET_REJECTED`
 */
export function assertWellFormed(data: Uint8Array, mediaType: UploadMediaType): void {
  orDamaged(mediaType, () => {
    switch (mediaType) {
      case "image/png":
        return segmentsOfPng(data);
      case "image/jpeg":
        return segmentsOfJpeg(data);
      case "image/webp":
        return segmentsOfWebp(data);
      case "image/gif":
        return segmentsOfGif(data);
      case "image/avif":
        return;
    }
  });
}

/**
 * Removes what a file tells beside its picture: texts, place, camera, time, previews, and what is unknown. The data of
 * the picture and its colour profile stay byte by byte as they are, so that it loses nothing by being stripped. An EXIF
 * orientation is dropped like the rest: apply it before.
 *
 * @throws ServiceError `ASSET_REJECTED` if the file is damaged, or an animated AVIF
 */
export function stripMetadata(data: Uint8Array, mediaType: UploadMediaType): Uint8Array<ArrayBuffer> {
  return orDamaged(mediaType, () => {
    switch (mediaType) {
      case "image/png":
        return stripPng(data);
      case "image/jpeg":
        return stripJpeg(data);
      case "image/webp":
        return stripWebp(data);
      case "image/gif":
        return stripGif(data);
      case "image/avif":
        if (isAvifSequence(data)) {
          throw notStrippable("it is an animated AVIF");
        }
        return stripAvif(data);
    }
  });
}

function orDamaged<T>(mediaType: UploadMediaType, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw error instanceof MalformedError ? damaged(mediaType, error) : error;
  }
}
