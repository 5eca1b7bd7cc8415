import type { Plane } from "./plane.ts";

/**
 * Lets the light parts of a mask grow by `steps` pixels, or shrink if negative: in all eight directions, or, with
 * tapered corners, in four.
 */
export function* growPlane(plane: Plane, steps: number, tapered: boolean): Generator<void, Plane, void> {
  const pick = steps < 0 ? Math.min : Math.max;
  let data = plane.data;
  for (let step = 0; step < Math.abs(steps); step++) {
    const grown = tapered ? inFour(data, plane.width, plane.height, pick) : inEight(data, plane, pick);
    if (grown.every((value, i) => value === data[i])) {
      break; // It has come to the edges everywhere.
    }
    data = grown;
    yield;
  }
  return { ...plane, data };
}

type Pick = (a: number, b: number) => number;

function inFour(data: Float32Array, width: number, height: number, pick: Pick): Float32Array {
  const grown = data.slice();
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      let value = data[i] ?? 0;
      value = x > 0 ? pick(value, data[i - 1] ?? 0) : value;
      value = x < width - 1 ? pick(value, data[i + 1] ?? 0) : value;
      value = y > 0 ? pick(value, data[i - width] ?? 0) : value;
      grown[i] = y < height - 1 ? pick(value, data[i + width] ?? 0) : value;
    }
  }
  return grown;
}

function inEight(data: Float32Array, { width, height }: Plane, pick: Pick): Float32Array {
  const across = spread(data, width, height, -1, 1, 1, pick);
  return spread(across, width, height, -1, 1, width, pick);
}

/**
 * Marks with 1 every pixel that has a light one (over a half) in a square of `size` pixels around it; where the size is
 * even, the square reaches further to the left and up.
 */
export function growSquare({ width, height, data }: Plane, size: number): Plane {
  const marked = data.map((value) => (value > 0.5 ? 1 : 0));
  if (size === 0) {
    return { width, height, data: marked };
  }
  const before = -Math.ceil((size - 1) / 2);
  const after = before + size - 1;
  const across = spread(marked, width, height, before, after, 1, Math.max);
  return { width, height, data: spread(across, width, height, before, after, width, Math.max) };
}

/** What `pick` picks among the numbers from `first` to `last` places away, along rows (`step` 1) or columns (`width`). */
function spread(
  data: Float32Array,
  width: number,
  height: number,
  first: number,
  last: number,
  step: number,
  pick: Pick,
): Float32Array {
  const result = data.slice();
  for (let i = 0; i < data.length; i++) {
    const place = step === 1 ? i % width : Math.floor(i / width);
    const length = step === 1 ? width : height;
    let value = data[i] ?? 0;
    let isFirst = true;
    for (let offset = Math.max(first, -place); offset <= Math.min(last, length - 1 - place); offset++) {
      const other = data[i + offset * step] ?? 0;
      value = isFirst ? other : pick(value, other);
      isFirst = false;
    }
    result[i] = value;
  }
  return result;
}
