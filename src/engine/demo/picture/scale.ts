import { toBytes } from "./bytes.ts";
import { type Box, crop } from "./crop.ts";
import type { Pixels } from "./picture.ts";
import { resample, type ScaleMethod } from "./resample.ts";

/** Brings a picture to another size. */
export function* scalePicture(
  pixels: Pixels,
  width: number,
  height: number,
  method: ScaleMethod,
): Generator<void, Pixels, void> {
  if (width === pixels.width && height === pixels.height) {
    return pixels;
  }
  const scaled = yield* resample({ ...pixels, channels: 3 }, width, height, method);
  return { width, height, data: toBytes(scaled) };
}

/** Cuts off what a picture has beyond the proportions of `width` to `height`, on both sides by the same. */
export function cropToShape(pixels: Pixels, width: number, height: number): Pixels {
  return crop(pixels, centreBox(pixels, width, height));
}

/** The largest part, in the middle of a picture, that has the proportions of `width` to `height`. */
export function centreBox(
  from: { readonly width: number; readonly height: number },
  width: number,
  height: number,
): Box {
  const before = from.width / from.height;
  const after = width / height;
  const left = before > after ? roundHalfEven((from.width - from.width * (after / before)) / 2) : 0;
  const top = before < after ? roundHalfEven((from.height - from.height * (before / after)) / 2) : 0;
  return { left, top, width: from.width - left * 2, height: from.height - top * 2 };
}

/** `round(value)` of Python: halves go to the even neighbour. */
export function roundHalfEven(value: number): number {
  const below = Math.floor(value);
  return value - below === 0.5 ? below + (below & 1) : Math.round(value);
}
