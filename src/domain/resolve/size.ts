import type { PictureTask } from "../generation.ts";
import type { InputImage } from "../input-image.ts";
import type { FamilyTraits } from "./model-families.ts";
import type { PixelSize, ResolveInputs } from "./resolve-inputs.ts";

const fallbackSidePx = 512;

/** Bounds of a side in the schema. */
export const [minSidePx, maxSidePx] = [64, 2_048];

/** Size of what a picture task draws first. Sides that are not given follow from what it draws over, or from its model. */
export function resolveSize(
  task: PictureTask<InputImage>,
  { nativeSidePx = fallbackSidePx, sideMultiplePx = 8 }: Partial<FamilyTraits>,
  { nativeSize, limits }: Pick<ResolveInputs, "nativeSize" | "limits">,
): PixelSize {
  const { start } = task;
  const bounds = { maxPixels: limits.maxPixels, multiplePx: sideMultiplePx };
  switch (start?.type) {
    case "outpaint": {
      const { image, leftPx, topPx, rightPx, bottomPx } = start;
      return {
        widthPx: multipleAbove(image.widthPx + leftPx + rightPx, sideMultiplePx),
        heightPx: multipleAbove(image.heightPx + topPx + bottomPx, sideMultiplePx),
      };
    }
    case "imageToImage":
    case "inpaint":
      return likeImage(task, start.image, bounds);
    case undefined:
      return likeModel(task, nativeSize ?? { widthPx: nativeSidePx, heightPx: nativeSidePx }, bounds);
  }
}

interface Bounds {
  readonly maxPixels: number;
  /** What sides that are not given are multiples of. */
  readonly multiplePx: number;
}

interface GivenSize {
  readonly widthPx?: number;
  readonly heightPx?: number;
}

/** One side that is not given follows from the other one and the proportions of the image; both, from the image. */
function likeImage(given: GivenSize, image: PixelSize, bounds: Bounds): PixelSize {
  const { widthPx, heightPx } = given;
  const ratio = image.widthPx / image.heightPx;
  if (widthPx !== undefined) {
    return {
      widthPx,
      heightPx: heightPx ?? defaultSide(widthPx / ratio, bounds.maxPixels / widthPx, bounds),
    };
  }
  return heightPx !== undefined
    ? { widthPx: defaultSide(heightPx * ratio, bounds.maxPixels / heightPx, bounds), heightPx }
    : fitted(image, bounds);
}

/** Sides that are not given are those of the model, made small enough for what the schema and the operator allow. */
function likeModel(given: GivenSize, native: PixelSize, bounds: Bounds): PixelSize {
  if (given.widthPx === undefined && given.heightPx === undefined) {
    return fitted(native, bounds);
  }
  return {
    widthPx:
      given.widthPx ??
      defaultSide(native.widthPx, bounds.maxPixels / (given.heightPx ?? native.heightPx), bounds),
    heightPx:
      given.heightPx ??
      defaultSide(native.heightPx, bounds.maxPixels / (given.widthPx ?? native.widthPx), bounds),
  };
}

/** The size, both sides scaled alike until they are within the limits; of a long, thin one the longer side once more. */
function fitted({ widthPx, heightPx }: PixelSize, bounds: Bounds): PixelSize {
  const scale = Math.min(
    1,
    maxSidePx / Math.max(widthPx, heightPx),
    Math.sqrt(bounds.maxPixels / (widthPx * heightPx)),
  );
  const fittedPx = defaultSide(widthPx * scale, bounds.maxPixels / minSidePx, bounds);
  return {
    widthPx: fittedPx,
    heightPx: defaultSide(heightPx * scale, bounds.maxPixels / fittedPx, bounds),
  };
}

function defaultSide(sidePx: number, limitPx: number, { multiplePx }: Bounds): number {
  const wholePx = Math.floor(Math.min(sidePx, limitPx, maxSidePx) / multiplePx) * multiplePx;
  return Math.max(minSidePx, wholePx);
}

/** The next multiple, of which latents are made. */
function multipleAbove(sidePx: number, multiplePx: number): number {
  return Math.ceil(sidePx / multiplePx) * multiplePx;
}
