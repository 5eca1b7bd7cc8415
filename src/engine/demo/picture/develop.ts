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

/** The colours that a VAE gives a picture. */
interface Tone {
  readonly saturation: number;
  readonly contrast: number;
  /** Warmer (positive) or cooler (negative) light. */
  readonly warmth: number;
}

/** Colours of a VAE by a word in its name; a little warmer and stronger for others. */
const TONES: Readonly<Record<string, Tone>> = {
  flux: { saturation: 1.02, contrast: 1.07, warmth: -0.01 },
  qwen: { saturation: 0.97, contrast: 0.98, warmth: 0.015 },
};

const OWN_TONE: Tone = { saturation: 1.06, contrast: 1.05, warmth: 0.03 };

/** The tone of a VAE; nothing for a checkpoint's own, which leaves a picture as it is. */
function toneOf(vae: string): Tone | undefined {
  const word = Object.keys(TONES).find((candidate) => vae.includes(candidate));
  return vae === "" ? undefined : (TONES[word ?? ""] ?? OWN_TONE);
}

/** Makes bytes of a picture, as a VAE does that decodes. Pauses now and then. */
export function* developPicture(
  canvas: Canvas,
  { noise, noiseSeed, vae }: Development,
): Generator<void, Pixels, void> {
  const { width, height } = canvas;
  const tone = toneOf(vae);
  const data = new Uint8Array(canvas.pixels.length);
  yield* eachRow(canvas, 0, height, (y) => {
    const start = y * width * 3;
    const row = canvas.pixels.slice(start, start + width * 3);
    if (noise > 0) {
      addNoise(row, y, { grain: 0, noise, seed: noiseSeed });
    }
    if (tone) {
      apply(tone, row);
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
  const tone = toneOf(vae);
  if (tone) {
    yield* eachRow(canvas, 0, canvas.height, (y) => {
      const start = y * canvas.width * 3;
      takeBack(tone, canvas.pixels.subarray(start, start + canvas.width * 3));
    });
  }
  return canvas;
}

function apply({ saturation, contrast, warmth }: Tone, row: Float32Array): void {
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

function takeBack({ saturation, contrast, warmth }: Tone, row: Float32Array): void {
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
