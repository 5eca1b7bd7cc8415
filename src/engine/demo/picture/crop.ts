import type { Pixels } from "./picture.ts";

/** A part of a picture, in pixels. */
export interface Box {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** Cuts a part out of a picture, which it must lie within. */
export function crop(pixels: Pixels, box: Box): Pixels {
  if (box.width === pixels.width && box.height === pixels.height) {
    return pixels;
  }
  const data = new Uint8Array(box.width * box.height * 3);
  for (let y = 0; y < box.height; y++) {
    const start = ((box.top + y) * pixels.width + box.left) * 3;
    data.set(pixels.data.subarray(start, start + box.width * 3), y * box.width * 3);
  }
  return { width: box.width, height: box.height, data };
}
