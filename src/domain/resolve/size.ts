import type { PictureTask } from "../generation.ts";
import type { InputImage } from "../input-image.ts";
import type { PixelSize, ResolveInputs } from "./resolve-inputs.ts";

const fallbackSidePx = 512;

/** Bounds of a side in the schema. */
export const [minSidePx, maxSidePx] = [64, 2_048];

/** Size of what a picture task draws first. Sides that are not given follow from what it draws over, or from its model. */
export function resolveSize(
  task: PictureTask<InputImage>,
  familySidePx: number | undefined,
  { nativeSize, limits }: Pick<ResolveInputs, "nativeSize" | "limits">,
): PixelSize {
  const { start } = task;
  switch (start?.type) {
    case "outpaint": {
      const { image, leftPx, topPx, rightPx, bottomPx } = start;
      return {
        widthPx: multipleAbove(image.widthPx + leftPx + rightPx),
        heightPx: multipleAbove(image.heightPx + topPx + bottomPx),
      };
    }
    case "imageToImage":
    case "inpaint":
      return likeImage(task, start.image, limits.maxPixels);
    case undefined: {
      const sidePx = familySidePx ?? fallbackSidePx;
      return likeModel(task, nativeSize ?? { widthPx: sidePx, heightPx: sidePx }, limits.maxPixels);
    }
  }
}

interface GivenSize {
  readonly widthPx?: number;
  readonly heightPx?: number;
}

/** One side that is not given follows from the other one and the proportions of the image; both, from the image. */
function likeImage(given: GivenSize, image: PixelSize, maxPixels: number): PixelSize {
  const { widthPx, heightPx } = given;
  const ratio = image.widthPx / image.heightPx;
  if (widthPx !== undefined) {
    return { widthPx, heightPx: heightPx ?? defaultSide(widthPx / ratio, maxPixels / widthPx) };
  }
  return heightPx !== undefined
    ? { widthPx: defaultSide(heightPx * ratio, maxPixels / heightPx), heightPx }
    : fitted(image, maxPixels);
}

/** Sides that are not given are those of the model, made small enough for what the schema and the operator allow. */
function likeModel(given: GivenSize, native: PixelSize, maxPixels: number): PixelSize {
  if (given.widthPx === undefined && given.heightPx === undefined) {
    return fitted(native, maxPixels);
  }
  return {
    widthPx: given.widthPx ?? defaultSide(native.widthPx, maxPixels / (given.heightPx ?? native.heightPx)),
    heightPx: given.heightPx ?? defaultSide(native.heightPx, maxPixels / (given.widthPx ?? native.widthPx)),
  };
}

/** The size, both sides scaled alike until they are within the limits, in multiples of 8. */
function fitted({ widthPx, heightPx }: PixelSize, maxPixels: number): PixelSize {
  const scale = Math.min(
    1,
    maxSidePx / Math.max(widthPx, heightPx),
    Math.sqrt(maxPixels / (widthPx * heightPx)),
  );
  return {
    widthPx: defaultSide(widthPx * scale, maxSidePx),
    heightPx: defaultSide(heightPx * scale, maxSidePx),
  };
}

function defaultSide(sidePx: number, limitPx: number): number {
  return Math.max(minSidePx, Math.floor(Math.min(sidePx, limitPx, maxSidePx) / 8) * 8);
}

/** The next multiple of 8, of which latents are made. */
function multipleAbove(sidePx: number): number {
  return Math.ceil(sidePx / 8) * 8;
}
