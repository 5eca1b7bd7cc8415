import { type Canvas, createCanvas, eachRow } from "./canvas.ts";
import { gradientTable, hex } from "./colour.ts";
import { createField } from "./field.ts";
import { hashPair } from "./random.ts";

/** What is done to a painted picture as a whole. All of it leaves the composition alone. */
export interface Finish {
  /** Seed of the grain and of the noise. */
  readonly seed: number;
  /** Noise that is left in the picture, 0 (none) to 1 (nothing but noise). */
  readonly noise: number;
  /** Colourfulness; 1 leaves it as it is. */
  readonly saturation: number;
  /** Contrast around middle grey; 1 leaves it as it is. */
  readonly contrast: number;
  /** Strength of the film grain, in steps of 255. */
  readonly grain: number;
  /** How much of the neon look there is, 0 to 1. */
  readonly neon: number;
  /** How much it looks like watercolour, 0 to 1. */
  readonly watercolour: number;
}

/** Finishes a painted picture. The result holds nothing below 0 or above 255; `canvas` must not be used any more. */
export function* finishPicture(canvas: Canvas, finish: Finish): Generator<void, Canvas, void> {
  const source = finish.watercolour > 0.01 ? createWash(canvas, finish) : undefined;
  const finished = source ? createCanvas(canvas.width, canvas.height) : canvas;
  const tone = toneOf(finish);
  const { width, height } = canvas;
  const row = new Float32Array(width * 3);
  yield* eachRow(canvas, 0, height, (y) => {
    if (source) {
      source(y, row);
    } else {
      row.set(canvas.pixels.subarray(y * width * 3, (y + 1) * width * 3));
    }
    tone(row, y / height, width / height);
    addNoise(row, y, finish);
    const start = y * width * 3;
    for (let i = 0; i < row.length; i++) {
      const value = row[i] ?? 0;
      finished.pixels[start + i] = Math.max(0, Math.min(255, value));
    }
  });
  return finished;
}

/** Colours that the neon look maps darkness and light to. */
const NEON = gradientTable(
  [hex("#05021a"), hex("#2a0a66"), hex("#b0149c"), hex("#ff4f9a"), hex("#4fe6f5"), hex("#f4fdff")],
  256,
);

function toneOf(finish: Finish): (row: Float32Array, v: number, aspect: number) => void {
  const { saturation, contrast, neon } = finish;
  return (row, v, aspect) => {
    const dy = (v - 0.5) * 1.1;
    const pixelWidth = 3 / row.length;
    for (let i = 0, u = -0.5; i < row.length; i += 3, u += pixelWidth) {
      const dx = u * Math.min(1.2, aspect);
      const distance = dx * dx + dy * dy;
      const vignette = 1.015 - 0.34 * distance * (0.45 + distance * 0.6);
      const r = row[i] ?? 0;
      const g = row[i + 1] ?? 0;
      const b = row[i + 2] ?? 0;
      const light = 0.3 * r + 0.59 * g + 0.11 * b;
      let r1 = ((light + (r - light) * saturation - 128) * contrast + 128) * vignette;
      let g1 = ((light + (g - light) * saturation - 128) * contrast + 128) * vignette;
      let b1 = ((light + (b - light) * saturation - 128) * contrast + 128) * vignette;
      if (neon > 0) {
        const entry = Math.min(255, Math.max(0, light | 0)) * 3;
        r1 += ((NEON[entry] ?? 0) - r1) * neon;
        g1 += ((NEON[entry + 1] ?? 0) - g1) * neon;
        b1 += ((NEON[entry + 2] ?? 0) - b1) * neon;
      }
      row[i] = r1;
      row[i + 1] = g1;
      row[i + 2] = b1;
    }
  };
}

/**
 * Adds film grain to row `y` of a picture, and above it the noise that the sampler has left. Grain also hides the bands
 * of smooth gradients.
 */
export function addNoise(
  row: Float32Array,
  y: number,
  { grain, noise, seed }: Pick<Finish, "grain" | "noise" | "seed">,
): void {
  const keep = 1 - noise;
  // A 32-bit linear congruential generator a row: as fast as noise gets, and good enough to look at.
  let state = hashPair(seed, y) | 1;
  if (noise < 0.002) {
    for (let i = 0; i < row.length; i += 3) {
      state = (Math.imul(state, 1664525) + 1013904223) | 0;
      const offset = (state >> 16) * (grain / 32768);
      row[i] = (row[i] ?? 0) + offset;
      row[i + 1] = (row[i + 1] ?? 0) + offset;
      row[i + 2] = (row[i + 2] ?? 0) + offset;
    }
    return;
  }
  for (let i = 0; i < row.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    row[i] =
      (row[i] ?? 0) * keep + (128 + (state >> 16) * (150 / 32768)) * noise + (state >> 16) * (grain / 32768);
  }
}

/**
 * Reads rows of `canvas` as if painted with a wet brush on paper: edges run, colours thin out towards the paper's own,
 * and its grain shows.
 */
function createWash(canvas: Canvas, finish: Finish): (y: number, row: Float32Array) => void {
  const { width, height, pixels } = canvas;
  const bend = createField(finish.seed + 1, 16, 3);
  const pool = createField(finish.seed + 2, 4, 4);
  const paper = createField(77, 32, 2);
  const strength = finish.watercolour;
  const reach = 0.01 * strength * height;
  const brush = Math.max(1, Math.round(height * 0.005 * strength));
  const at = (x: number, y: number) =>
    (Math.min(height - 1, Math.max(0, Math.round(y))) * width +
      Math.min(width - 1, Math.max(0, Math.round(x)))) *
    3;
  return (y, row) => {
    const v = y / height;
    for (let x = 0; x < width; x++) {
      const u = x / height;
      const dx = (bend.at(u * 1.1, v * 1.1) - 0.5) * 2 * reach;
      const dy = (bend.at(u * 1.1 + 0.37, v * 1.1 + 0.61) - 0.5) * 2 * reach;
      const a = at(x + dx, y + dy);
      const b = at(x + dx + brush, y + dy + brush * 0.5);
      const c = at(x + dx - brush, y + dy - brush * 0.5);
      const d = at(x + dx - brush * 0.5, y + dy + brush);
      const thin = (0.1 + 0.28 * pool.at(u * 0.8, v * 0.8)) * strength;
      const grain = 1 - 0.07 * strength * paper.at(u * 3.1, v * 3.1);
      for (let channel = 0; channel < 3; channel++) {
        const colour =
          (pixels[a + channel] ?? 0) * 0.4 +
          ((pixels[b + channel] ?? 0) + (pixels[c + channel] ?? 0) + (pixels[d + channel] ?? 0)) * 0.2;
        const white = PAPER[channel] ?? 255;
        row[x * 3 + channel] = (colour + (white - colour) * thin) * grain;
      }
    }
  };
}

const PAPER = [252, 248, 240] as const;
