import type { Pixels } from "./picture.ts";

/** The weights of a Gaussian of sigma 1 over five pixels. */
const GAUSSIAN = normalised([2, 1, 0, 1, 2].map((distance) => Math.exp(-(distance ** 2) / 2)));

/** Neighbours of a pixel by direction, in steps of 45 degrees, from the right by way of below. */
const NEIGHBOURS = [
  [1, 0],
  [1, 1],
  [0, 1],
  [-1, 1],
  [-1, 0],
  [-1, -1],
  [0, -1],
  [1, -1],
] as const;

/** Magnitude of a gradient where there is none. */
const FLAT = 1e-3;

const ROWS_BETWEEN_PAUSES = 16;

/** Numbers of a picture in grey, row by row from the top. */
interface Field {
  readonly width: number;
  readonly height: number;
  readonly data: Float32Array;
}

/**
 * Finds the outlines in a picture as the `Canny` node of ComfyUI does: white lines of one pixel on black. Pauses now and
 * then.
 *
 * @param low how strong a line must be to go on, of a brightness from 0 to 1
 * @param high how strong it must be to begin
 */
export function* findOutlines(pixels: Pixels, low: number, high: number): Generator<void, Pixels, void> {
  const { width, height } = pixels;
  const ridges = yield* ridgesOf(yield* blurred(greyOf(pixels)));
  const data = new Uint8Array(width * height * 3);
  const begun = [...ridges.data.keys()].filter((at) => (ridges.data[at] ?? 0) > high);
  for (let at = begun.pop(); at !== undefined; at = begun.pop()) {
    if (data[at * 3] !== 255) {
      data.fill(255, at * 3, at * 3 + 3);
      begun.push(...neighboursOf(at, ridges).filter((next) => (ridges.data[next] ?? 0) > low));
    }
  }
  return { width, height, data };
}

function greyOf({ width, height, data }: Pixels): Field {
  const grey = Float32Array.from({ length: width * height }, (_, i) => {
    const [r = 0, g = 0, b = 0] = data.subarray(i * 3, i * 3 + 3);
    return (0.299 * r + 0.587 * g + 0.114 * b) / 255;
  });
  return { width, height, data: grey };
}

/** Beyond its edges the picture is mirrored, the edge itself not twice. */
function* blurred({ width, height, data }: Field): Generator<void, Field, void> {
  const mirrored = (place: number, length: number) => {
    const inner = Math.abs(place);
    return Math.max(0, inner < length ? inner : 2 * (length - 1) - inner);
  };
  const across = new Float32Array(data.length);
  const result = new Float32Array(data.length);
  for (const [from, into, isAcross] of [
    [data, across, true],
    [across, result, false],
  ] as const) {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        let sum = 0;
        for (const [i, weight] of GAUSSIAN.entries()) {
          const [column, row] = isAcross ? [mirrored(x + i - 2, width), y] : [x, mirrored(y + i - 2, height)];
          sum += (from[row * width + column] ?? 0) * weight;
        }
        into[y * width + x] = sum;
      }
      if (y % ROWS_BETWEEN_PAUSES === 0) {
        yield;
      }
    }
  }
  return { width, height, data: result };
}

/** How steep the picture is where it is steeper than on both sides along its slope; 0 elsewhere. */
function* ridgesOf(field: Field): Generator<void, Field, void> {
  const { width, height } = field;
  const steepness = new Float32Array(width * height);
  const directions = new Uint8Array(width * height);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) {
      const [gx, gy] = slopeAt(field, x, y);
      steepness[at] = Math.sqrt(gx * gx + gy * gy + FLAT ** 2);
      directions[at] = (Math.round(Math.atan2(gy, gx) * (4 / Math.PI)) + 8) % 8;
    }
    if (y % ROWS_BETWEEN_PAUSES === 0) {
      yield;
    }
  }
  const ridges = steepness.map((value, at) => {
    const direction = directions[at] ?? 0;
    const isRidge =
      value > Math.fround(FLAT) &&
      beats(value, at, direction, field, steepness) &&
      beats(value, at, (direction + 4) % 8, field, steepness);
    return isRidge ? value : 0;
  });
  return { width, height, data: ridges };
}

/** By Sobel; beyond its edges the picture goes on as it ends. */
function slopeAt({ width, height, data }: Field, x: number, y: number): readonly [gx: number, gy: number] {
  const at = (dx: number, dy: number) => {
    const column = Math.max(0, Math.min(width - 1, x + dx));
    return data[Math.max(0, Math.min(height - 1, y + dy)) * width + column] ?? 0;
  };
  const side = (sign: number) => at(sign, -1) + 2 * at(sign, 0) + at(sign, 1);
  const end = (sign: number) => at(-1, sign) + 2 * at(0, sign) + at(1, sign);
  return [side(1) - side(-1), end(1) - end(-1)];
}

/** Of two equals side by side the left or upper one counts. */
function beats(value: number, at: number, direction: number, field: Field, steepness: Float32Array): boolean {
  const [dx, dy] = NEIGHBOURS[direction] ?? [0, 0];
  const [x, y] = [(at % field.width) + dx, Math.floor(at / field.width) + dy];
  const inside = x >= 0 && x < field.width && y >= 0 && y < field.height;
  const other = inside ? (steepness[y * field.width + x] ?? 0) : Math.fround(FLAT);
  return value > other || ((direction === 0 || direction === 2) && value === other);
}

function neighboursOf(at: number, { width, height }: Field): readonly number[] {
  const [x, y] = [at % width, Math.floor(at / width)];
  return NEIGHBOURS.map(([dx, dy]) => [x + dx, y + dy] as const)
    .filter(([column, row]) => column >= 0 && column < width && row >= 0 && row < height)
    .map(([column, row]) => row * width + column);
}

function normalised(weights: readonly number[]): readonly number[] {
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => weight / sum);
}
