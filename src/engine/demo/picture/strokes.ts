import { type Canvas, glow } from "./canvas.ts";
import { gradientTable, type Rgb } from "./colour.ts";

/** White. */
export const WHITE: Rgb = [255, 255, 255];
/** Black. */
export const BLACK: Rgb = [0, 0, 0];

/** An ellipse as a polygon of `corners` corners. */
export function ellipse(x: number, y: number, rx: number, ry: number, corners: number): number[] {
  const points: number[] = [];
  for (let i = 0; i < corners; i++) {
    const angle = (i / corners) * Math.PI * 2;
    points.push(x + Math.cos(angle) * rx, y + Math.sin(angle) * ry);
  }
  return points;
}

/** One colour all over. */
export function flat(colour: Rgb, opacity: number) {
  return { table: Float32Array.from(colour), top: 0, bottom: 1, opacity };
}

/** Colours from the row `top` to the row `bottom`. */
export function gradientFill(colours: readonly Rgb[], top: number, bottom: number) {
  const [first = WHITE] = colours;
  const size = Math.max(4, Math.min(128, Math.ceil(bottom - top)));
  return {
    table: gradientTable(colours.length > 1 ? colours : [first, first], size),
    top,
    bottom,
    opacity: 1,
  };
}

/** A soft dot; one that is smaller than a pixel is fainter instead. */
export function splat(
  canvas: Canvas,
  x: number,
  y: number,
  radius: number,
  colour: Rgb,
  strength: number,
): void {
  const { width, height, pixels } = canvas;
  const reach = Math.ceil(radius * 2);
  const fade = Math.min(1, radius);
  for (let py = Math.max(0, Math.floor(y) - reach); py <= Math.min(height - 1, Math.floor(y) + reach); py++) {
    for (
      let px = Math.max(0, Math.floor(x) - reach);
      px <= Math.min(width - 1, Math.floor(x) + reach);
      px++
    ) {
      const distance = ((px + 0.5 - x) ** 2 + (py + 0.5 - y) ** 2) / (radius * radius);
      const share = strength * fade * Math.max(0, 1 - distance / 4) ** 3;
      if (share > 0.004) {
        glow(pixels, (py * width + px) * 3, colour, share);
      }
    }
  }
}
