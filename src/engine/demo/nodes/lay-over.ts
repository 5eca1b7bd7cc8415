import type { Plane } from "../picture/plane.ts";
import { resample } from "../picture/resample.ts";

/** A picture of three numbers a pixel. */
interface Picture<Data> {
  readonly width: number;
  readonly height: number;
  readonly data: Data;
}

/**
 * Lays a picture over another one, as far as it lies within it, and returns that one's numbers. What the mask, brought
 * to the size of the upper picture, lets through of the lower one stays.
 */
export function* layOver(
  below: Picture<Float32Array>,
  above: Picture<ArrayLike<number>> | undefined,
  { left, top }: { readonly left: number; readonly top: number },
  mask: Plane | undefined,
): Generator<void, Float32Array, void> {
  if (!above) {
    return below.data;
  }
  const shares = mask && (yield* resample({ ...mask, channels: 1 }, above.width, above.height, "bilinear"));
  const height = Math.min(above.height, below.height - top);
  const width = Math.min(above.width, below.width - left);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const share = shares?.[y * above.width + x] ?? 1;
      const from = (y * above.width + x) * 3;
      const to = ((y + top) * below.width + x + left) * 3;
      for (let channel = 0; channel < 3; channel++) {
        const old = below.data[to + channel] ?? 0;
        below.data[to + channel] = share * (above.data[from + channel] ?? 0) + (1 - share) * old;
      }
    }
    if (y % 64 === 63) {
      yield;
    }
  }
  return below.data;
}
