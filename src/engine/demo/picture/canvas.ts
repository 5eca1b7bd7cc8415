import type { Rgb } from "./colour.ts";

/** A picture under way: three numbers a pixel, 0 to 255, row by row from the top. */
export interface Canvas {
  readonly width: number;
  readonly height: number;
  readonly pixels: Float32Array;
}

/** Work that may be paused: it yields now and then, so that a large picture does not hold up the event loop. */
export type Work = Generator<void, void, void>;

/** How many pixels are worked on between two pauses; some milliseconds' worth. */
const PIXELS_BETWEEN_PAUSES = 1 << 16;

/** Makes a black canvas. */
export function createCanvas(width: number, height: number): Canvas {
  return { width, height, pixels: new Float32Array(width * height * 3) };
}

/** Calls `paintRow` for the rows from `top` (inclusive) to `bottom` (exclusive) that the canvas has. */
export function* eachRow(canvas: Canvas, top: number, bottom: number, paintRow: (y: number) => void): Work {
  const rowsBetweenPauses = Math.max(1, Math.floor(PIXELS_BETWEEN_PAUSES / canvas.width));
  const end = Math.min(canvas.height, Math.ceil(bottom));
  let rows = 0;
  for (let y = Math.max(0, Math.floor(top)); y < end; y++) {
    paintRow(y);
    if (++rows % rowsBetweenPauses === 0) {
      yield;
    }
  }
}

/** Lays `share` (0 to 1) of `colour` over the pixel that starts at `index`. */
export function blend(pixels: Float32Array, index: number, colour: Rgb, share: number): void {
  const r = pixels[index] ?? 0;
  const g = pixels[index + 1] ?? 0;
  const b = pixels[index + 2] ?? 0;
  pixels[index] = r + (colour[0] - r) * share;
  pixels[index + 1] = g + (colour[1] - g) * share;
  pixels[index + 2] = b + (colour[2] - b) * share;
}

/** Adds `strength` times `colour` to the pixel that starts at `index`, as light does. */
export function glow(pixels: Float32Array, index: number, colour: Rgb, strength: number): void {
  const r = pixels[index] ?? 0;
  const g = pixels[index + 1] ?? 0;
  const b = pixels[index + 2] ?? 0;
  pixels[index] = r + (255 - r) * (colour[0] / 255) * strength;
  pixels[index + 1] = g + (255 - g) * (colour[1] / 255) * strength;
  pixels[index + 2] = b + (255 - b) * (colour[2] / 255) * strength;
}
