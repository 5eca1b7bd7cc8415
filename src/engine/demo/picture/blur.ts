import { toBytes } from "./bytes.ts";
import type { Work } from "./canvas.ts";
import type { Pixels } from "./picture.ts";

/**
 * Blurs a picture by a Gaussian of `radius` pixels (less than both sides of the picture), whose `sigma` counts in radii.
 * Beyond its edges the picture is mirrored.
 */
export function* blurPicture(pixels: Pixels, radius: number, sigma: number): Generator<void, Pixels, void> {
  const { width, height, data } = pixels;
  const weights = gaussian(radius, sigma);
  const across = new Float32Array(data.length);
  yield* convolve(
    data,
    across,
    { lines: height, length: width, step: 3, stride: width * 3, lanes: 3 },
    weights,
  );
  const result = new Float32Array(data.length);
  yield* convolve(
    across,
    result,
    { lines: 1, length: height, step: width * 3, stride: 0, lanes: width * 3 },
    weights,
  );
  return { width, height, data: toBytes(result) };
}

/** How lines of numbers lie in a picture: `lanes` lines side by side, each with a number every `step`. */
interface Lines {
  readonly lines: number;
  readonly length: number;
  readonly step: number;
  readonly stride: number;
  readonly lanes: number;
}

function* convolve(
  from: ArrayLike<number>,
  into: Float32Array,
  { lines, length, step, stride, lanes }: Lines,
  weights: readonly number[],
): Work {
  const radius = (weights.length - 1) / 2;
  for (let line = 0; line < lines; line++) {
    for (let place = 0; place < length; place++) {
      const to = line * stride + place * step;
      for (const [offset, weight] of weights.entries()) {
        const start = line * stride + mirrored(place + offset - radius, length) * step;
        for (let lane = 0; lane < lanes; lane++) {
          into[to + lane] = (into[to + lane] ?? 0) + (from[start + lane] ?? 0) * weight;
        }
      }
      if (lanes > 3 && place % 16 === 0) {
        yield;
      }
    }
    if (line % 16 === 0) {
      yield;
    }
  }
}

function gaussian(radius: number, sigma: number): readonly number[] {
  const raw = Array.from({ length: radius * 2 + 1 }, (_, i) =>
    Math.exp(-((i / radius - 1) ** 2) / (2 * sigma ** 2)),
  );
  const sum = raw.reduce((total, weight) => total + weight, 0);
  return raw.map((weight) => weight / sum);
}

/** The place that a mirror at both ends shows, the end itself not twice. */
function mirrored(place: number, length: number): number {
  const inner = Math.abs(place);
  return inner < length ? inner : 2 * (length - 1) - inner;
}
