import { type Canvas, createCanvas, eachRow } from "./canvas.ts";
import { addNoise } from "./finish.ts";
import type { Pixels } from "./picture.ts";

/** How a picture under way becomes bytes. */
export interface Development {
  /** Noise left in it, 0 to 1. */
  readonly noise: number;
  readonly noiseSeed: number;
  /** Name of the VAE, empty for a checkpoint's own. */
  readonly vae: string;
}

/** Colours of a VAE of its own: a little warmer and stronger. Those of a checkpoint's leave a picture as it is. */
const OWN_TONE = { saturation: 1.06, contrast: 1.05, warmth: 0.03 } as const;

/** Makes bytes of a picture, as a VAE does that decodes. Pauses now and then. */
export function* developPicture(
  canvas: Canvas,
  { noise, noiseSeed, vae }: Development,
): Generator<void, Pixels, void> {
  const { width, height } = canvas;
  const data = new Uint8Array(canvas.pixels.length);
  yield* eachRow(canvas, 0, height, (y) => {
    const start = y * width * 3;
    const row = canvas.pixels.slice(start, start + width * 3);
    if (noise > 0) {
      addNoise(row, y, { grain: 0, noise, seed: noiseSeed });
    }
    if (vae !== "") {
      tone(row);
    }
    for (let i = 0; i < row.length; i++) {
      const value = row[i] ?? 0;
      data[start + i] = value < 0 ? 0 : value > 254.5 ? 255 : value + 0.5;
    }
  });
  return { width, height, data };
}

/**
 * The opposite of `developPicture` for the same VAE, which gives back the same bytes: ComfyUI's VAEs come close to that.
 */
export function* absorbPicture(pixels: Pixels, vae: string): Generator<void, Canvas, void> {
  const canvas = createCanvas(pixels.width, pixels.height);
  canvas.pixels.set(pixels.data);
  if (vae !== "") {
    yield* eachRow(canvas, 0, canvas.height, (y) => {
      const start = y * canvas.width * 3;
      untone(canvas.pixels.subarray(start, start + canvas.width * 3));
    });
  }
  return canvas;
}

function tone(row: Float32Array): void {
  const { saturation, contrast, warmth } = OWN_TONE;
  for (let i = 0; i < row.length; i += 3) {
    const r = (row[i] ?? 0) * (1 + warmth);
    const g = row[i + 1] ?? 0;
    const b = (row[i + 2] ?? 0) * (1 - warmth);
    const light = 0.3 * r + 0.59 * g + 0.11 * b;
    row[i] = (light + (r - light) * saturation - 128) * contrast + 128;
    row[i + 1] = (light + (g - light) * saturation - 128) * contrast + 128;
    row[i + 2] = (light + (b - light) * saturation - 128) * contrast + 128;
  }
}

function untone(row: Float32Array): void {
  const { saturation, contrast, warmth } = OWN_TONE;
  for (let i = 0; i < row.length; i += 3) {
    const r = ((row[i] ?? 0) - 128) / contrast + 128;
    const g = ((row[i + 1] ?? 0) - 128) / contrast + 128;
    const b = ((row[i + 2] ?? 0) - 128) / contrast + 128;
    const light = 0.3 * r + 0.59 * g + 0.11 * b;
    row[i] = (light + (r - light) / saturation) / (1 + warmth);
    row[i + 1] = light + (g - light) / saturation;
    row[i + 2] = (light + (b - light) / saturation) / (1 - warmth);
  }
}
