import type { Work } from "./canvas.ts";

/** Ways to change the size of a picture, by the names that ComfyUI has for them. */
export const SCALE_METHODS = ["nearest-exact", "bilinear", "area", "bicubic", "lanczos"] as const;

export type ScaleMethod = (typeof SCALE_METHODS)[number];

/** Numbers of a picture, row by row from the top; `channels` numbers a pixel. */
export interface Raster {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly data: Float32Array | Uint8Array;
}

/** How many numbers are worked out between two pauses. */
const NUMBERS_BETWEEN_PAUSES = 1 << 18;

/**
 * Changes the size of a picture as ComfyUI does, number by number: `lanczos` as Pillow (in whole steps of 0 to 255),
 * the other methods as PyTorch, which does not smooth what it makes smaller, except with `area`.
 */
export function* resample(
  from: Raster,
  width: number,
  height: number,
  method: ScaleMethod,
): Generator<void, Float32Array, void> {
  const { channels } = from;
  const across = new Float32Array(width * from.height * channels);
  yield* scaleRows(from, tapsOf(method, from.width, width), across, width);
  if (method === "lanczos") {
    toWholeSteps(across);
  }
  const result = new Float32Array(width * height * channels);
  yield* scaleColumns(across, tapsOf(method, from.height, height), result, width * channels, height);
  if (method === "lanczos") {
    toWholeSteps(result);
  }
  return result;
}

/** Which numbers of the old row each number of the new one is made of, and by how much: `reach` for each. */
interface Taps {
  readonly reach: number;
  readonly indices: Int32Array;
  readonly weights: Float32Array;
}

function* scaleRows(from: Raster, taps: Taps, into: Float32Array, width: number): Work {
  const { channels, data } = from;
  const { reach, indices, weights } = taps;
  let left = NUMBERS_BETWEEN_PAUSES;
  for (let y = 0, to = 0; y < from.height; y++) {
    const row = y * from.width * channels;
    for (let x = 0; x < width; x++) {
      for (let channel = 0; channel < channels; channel++, to++) {
        let sum = 0;
        for (let tap = x * reach; tap < (x + 1) * reach; tap++) {
          sum += (data[row + (indices[tap] ?? 0) * channels + channel] ?? 0) * (weights[tap] ?? 0);
        }
        into[to] = sum;
      }
    }
    left -= width * channels * reach;
    if (left < 0) {
      left = NUMBERS_BETWEEN_PAUSES;
      yield;
    }
  }
}

function* scaleColumns(
  from: Float32Array,
  taps: Taps,
  into: Float32Array,
  stride: number,
  height: number,
): Work {
  const { reach, indices, weights } = taps;
  let left = NUMBERS_BETWEEN_PAUSES;
  for (let y = 0; y < height; y++) {
    const row = y * stride;
    for (let tap = y * reach; tap < (y + 1) * reach; tap++) {
      const weight = weights[tap] ?? 0;
      const start = (indices[tap] ?? 0) * stride;
      if (weight !== 0) {
        for (let i = 0; i < stride; i++) {
          into[row + i] = (into[row + i] ?? 0) + (from[start + i] ?? 0) * weight;
        }
      }
    }
    left -= stride * reach;
    if (left < 0) {
      left = NUMBERS_BETWEEN_PAUSES;
      yield;
    }
  }
}

function tapsOf(method: ScaleMethod, from: number, to: number): Taps {
  const scale = from / to;
  const last = from - 1;
  const at = (index: number) => Math.max(0, Math.min(last, index));
  switch (method) {
    case "nearest-exact":
      return collect(to, 1, (i) => [[at(Math.floor((i + 0.5) * scale)), 1]]);
    case "bilinear":
      return collect(to, 2, (i) => {
        const place = Math.max(0, (i + 0.5) * scale - 0.5);
        const first = at(Math.floor(place));
        const share = place - first;
        return [
          [first, 1 - share],
          [at(first + 1), share],
        ];
      });
    case "bicubic":
      return collect(to, 4, (i) => {
        const place = (i + 0.5) * scale - 0.5;
        const first = Math.floor(place);
        return [-1, 0, 1, 2].map((offset) => [at(first + offset), cubic(place - first - offset)]);
      });
    case "area":
      return collect(to, Math.ceil(scale) + 1, (i) => {
        const start = Math.floor((i * from) / to);
        const count = Math.ceil(((i + 1) * from) / to) - start;
        return Array.from({ length: count }, (_, offset) => [start + offset, 1 / count]);
      });
    case "lanczos":
      return lanczosTaps(from, to);
  }
}

function lanczosTaps(from: number, to: number): Taps {
  const scale = from / to;
  const stretch = Math.max(1, scale);
  const support = 3 * stretch;
  return collect(to, Math.ceil(support) * 2 + 1, (i) => {
    const centre = (i + 0.5) * scale;
    const start = Math.max(0, Math.trunc(centre - support + 0.5));
    const end = Math.min(from, Math.trunc(centre + support + 0.5));
    const raw = Array.from({ length: end - start }, (_, offset) =>
      lanczos((start + offset - centre + 0.5) / stretch),
    );
    const sum = raw.reduce((total, weight) => total + weight, 0);
    return raw.map((weight, offset) => [start + offset, weight / sum]);
  });
}

function collect(to: number, reach: number, tapsAt: (i: number) => readonly (readonly number[])[]): Taps {
  const indices = new Int32Array(to * reach);
  const weights = new Float32Array(to * reach);
  for (let i = 0; i < to; i++) {
    for (const [offset, [index, weight]] of tapsAt(i).entries()) {
      indices[i * reach + offset] = index ?? 0;
      weights[i * reach + offset] = weight ?? 0;
    }
  }
  return { reach, indices, weights };
}

/** Keys' cubic with the steepness of PyTorch. */
function cubic(distance: number): number {
  const a = -0.75;
  const x = Math.abs(distance);
  if (x <= 1) {
    return ((a + 2) * x - (a + 3)) * x * x + 1;
  }
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

function lanczos(x: number): number {
  return Math.abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0;
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI);
}

function toWholeSteps(numbers: Float32Array): void {
  for (let i = 0; i < numbers.length; i++) {
    numbers[i] = Math.max(0, Math.min(255, Math.floor((numbers[i] ?? 0) + 0.5)));
  }
}
