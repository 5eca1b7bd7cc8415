import { type Canvas, eachRow, type Work } from "./canvas.ts";
import type { Pixels } from "./picture.ts";

/** What a ControlNet looks for in a hint: outlines; outlines and nearness (light is near); or colours. */
export type HintReading = "edges" | "depth" | "colours";

/** A picture that another one is to follow. */
export interface Hint {
  readonly reads: HintReading;
  readonly pixels: Pixels;
  /** How much of an outline each pixel is, 0 to 255. */
  readonly edges: Uint8Array;
}

/** What a hint leaves in a picture. */
export interface Trace {
  readonly hint: Hint;
  /** How much of it shows, 0 to 1. */
  readonly share: number;
}

/** Differences in brightness up to this are grain, and no outline. */
const GRAIN = 24;

/** Difference in brightness that makes a full outline. */
const FULL_EDGE = 96;

const ROWS_BETWEEN_PAUSES = 32;

/** Looks at a picture as a ControlNet does. Pauses now and then. */
export function* readHint(pixels: Pixels, reads: HintReading): Generator<void, Hint, void> {
  return { reads, pixels, edges: yield* edgesOf(pixels) };
}

/**
 * Lays a trace over a picture. Where the hint has outlines, the picture is inked, dark on light and light on dark;
 * pixels of an outline that is only looked for in `edges` are the only ones that change. As in ComfyUI, the middle of
 * the hint is used if it has another shape than the picture.
 */
export function* layTrace(canvas: Canvas, { hint, share }: Trace): Work {
  const { width, height, pixels } = canvas;
  const { pixels: source, edges, reads } = hint;
  const scale = Math.min(source.width / width, source.height / height);
  const left = (source.width - width * scale) / 2;
  const top = (source.height - height * scale) / 2;
  const columns = Array.from({ length: width }, (_, x) => cover(left + x * scale, scale, source.width));
  yield* eachRow(canvas, 0, height, (y) => {
    const [y0, y1] = cover(top + y * scale, scale, source.height);
    for (const [x, [x0, x1]] of columns.entries()) {
      const to = (y * width + x) * 3;
      if (reads !== "edges") {
        follow(pixels, to, source.data, (y0 * source.width + x0) * 3, reads, share);
      }
      let edge = 0;
      for (let row = y0; row < y1; row++) {
        for (let at = row * source.width + x0; at < row * source.width + x1; at++) {
          edge = Math.max(edge, edges[at] ?? 0);
        }
      }
      if (edge > 0 && reads !== "colours") {
        ink(pixels, to, (share * edge) / 255);
      }
    }
  });
}

/** Rows or columns of the hint that one of the picture covers: at least one. */
function cover(start: number, length: number, limit: number): readonly [from: number, to: number] {
  const from = Math.min(limit - 1, Math.floor(start + 1e-6));
  return [from, Math.min(limit, Math.max(from + 1, Math.floor(start + length + 1e-6)))];
}

function ink(pixels: Float32Array, at: number, share: number): void {
  const target = brightness(pixels, at) > 110 ? 10 : 245;
  for (let i = at; i < at + 3; i++) {
    const value = pixels[i] ?? 0;
    pixels[i] = value + (target - value) * share;
  }
}

function follow(
  pixels: Float32Array,
  at: number,
  hint: Uint8Array,
  from: number,
  reads: "depth" | "colours",
  share: number,
): void {
  const light = 0.45 + (0.9 * brightness(hint, from)) / 255;
  for (let channel = 0; channel < 3; channel++) {
    const value = pixels[at + channel] ?? 0;
    const target = reads === "depth" ? Math.min(255, value * light) : (hint[from + channel] ?? 0);
    pixels[at + channel] = value + (target - value) * share * 0.8;
  }
}

/** How much brightness differs around each pixel, itself included: lines of one pixel are found too. */
function* edgesOf({ width, height, data }: Pixels): Generator<void, Uint8Array, void> {
  const light = Float32Array.from({ length: width * height }, (_, i) => brightness(data, i * 3));
  const edges = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let [most, least] = [0, 255];
      for (let row = Math.max(0, y - 1); row <= Math.min(height - 1, y + 1); row++) {
        for (
          let at = row * width + Math.max(0, x - 1);
          at <= row * width + Math.min(width - 1, x + 1);
          at++
        ) {
          const value = light[at] ?? 0;
          most = Math.max(most, value);
          least = Math.min(least, value);
        }
      }
      const strength = (most - least - GRAIN) / (FULL_EDGE - GRAIN);
      edges[y * width + x] = Math.max(0, Math.min(1, strength)) * 255;
    }
    if (y % ROWS_BETWEEN_PAUSES === 0) {
      yield;
    }
  }
  return edges;
}

function brightness(data: Float32Array | Uint8Array, at: number): number {
  return 0.3 * (data[at] ?? 0) + 0.59 * (data[at + 1] ?? 0) + 0.11 * (data[at + 2] ?? 0);
}
