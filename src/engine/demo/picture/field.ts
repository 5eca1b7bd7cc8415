import { hashPair } from "./random.ts";

/** Smooth noise, kept as a small grid that wraps around, and read anywhere in between. */
export interface Field {
  /** Value at (u, v), from 0 to 1. One period of the grid is 1 wide and 1 high. */
  readonly at: (u: number, v: number) => number;
}

const SIZE = 64;
const MASK = SIZE - 1;

/**
 * Makes a field of `octaves` layers of value noise, the coarsest with `cells` (a power of two up to 32) cells a period.
 * The same arguments give the same field; another seed is another place on the same map. Values fill 0 to 1.
 */
export function createField(seed: number, cells: number, octaves: number): Field {
  const grid = gridOf(cells, octaves);
  const offsetX = hashPair(seed, 1) % (SIZE * 256);
  const offsetY = hashPair(seed, 2) % (SIZE * 256);
  return { at: (u, v) => sample(grid, u * SIZE + offsetX / 256, v * SIZE + offsetY / 256) };
}

/** Smooth noise of one variable: value at `x`, from -1 to 1, with one bump a unit or so. */
export function wave(seed: number, x: number): number {
  const index = Math.floor(x);
  const share = smooth(x - index);
  const a = hashPair(seed, index) / 2147483648 - 1;
  const b = hashPair(seed, index + 1) / 2147483648 - 1;
  return a + (b - a) * share;
}

/** Sum of `octaves` waves, each twice as fine and `gain` as high as the one before; about -1 to 1. */
export function waves(seed: number, x: number, octaves: number, gain = 0.5): number {
  let sum = 0;
  let height = 1;
  let scale = 1;
  let total = 0;
  for (let octave = 0; octave < octaves; octave++) {
    sum += height * wave(seed + octave * 101, x * scale);
    total += height;
    height *= gain;
    scale *= 2;
  }
  return sum / total;
}

/** Maps that have been made: they are the same for all pictures, and making one takes longer than a small picture. */
const GRIDS = new Map<number, Float32Array>();

function gridOf(cells: number, octaves: number): Float32Array {
  const key = cells * 16 + octaves;
  const known = GRIDS.get(key);
  if (known) {
    return known;
  }
  const grid = new Float32Array(SIZE * SIZE);
  for (let octave = 0, count = cells; octave < octaves && count <= SIZE; octave++, count *= 2) {
    addOctave(grid, key + octave, count, 0.5 ** octave);
  }
  stretch(grid);
  GRIDS.set(key, grid);
  return grid;
}

function addOctave(grid: Float32Array, seed: number, cells: number, height: number): void {
  const lattice = new Float32Array(cells * cells);
  for (let i = 0; i < lattice.length; i++) {
    lattice[i] = hashPair(seed, i) / 4294967296;
  }
  const scale = cells / SIZE;
  for (let y = 0; y < SIZE; y++) {
    const fy = y * scale;
    const y0 = Math.floor(fy);
    const sy = smooth(fy - y0);
    const row0 = y0 * cells;
    const row1 = ((y0 + 1) % cells) * cells;
    for (let x = 0; x < SIZE; x++) {
      const fx = x * scale;
      const x0 = Math.floor(fx);
      const sx = smooth(fx - x0);
      const x1 = (x0 + 1) % cells;
      const a = lattice[row0 + x0] ?? 0;
      const b = lattice[row0 + x1] ?? 0;
      const c = lattice[row1 + x0] ?? 0;
      const d = lattice[row1 + x1] ?? 0;
      const top = a + (b - a) * sx;
      const index = y * SIZE + x;
      grid[index] = (grid[index] ?? 0) + height * (top + (c + (d - c) * sx - top) * sy);
    }
  }
}

function stretch(grid: Float32Array): void {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const value of grid) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  const scale = 1 / Math.max(1e-6, high - low);
  for (let i = 0; i < grid.length; i++) {
    grid[i] = ((grid[i] ?? 0) - low) * scale;
  }
}

function sample(grid: Float32Array, x: number, y: number): number {
  const fx = Math.floor(x);
  const fy = Math.floor(y);
  const sx = smooth(x - fx);
  const sy = smooth(y - fy);
  const x0 = fx & MASK;
  const x1 = (x0 + 1) & MASK;
  const row0 = (fy & MASK) * SIZE;
  const row1 = ((fy + 1) & MASK) * SIZE;
  const a = grid[row0 + x0] as number;
  const c = grid[row1 + x0] as number;
  const top = a + ((grid[row0 + x1] as number) - a) * sx;
  const bottom = c + ((grid[row1 + x1] as number) - c) * sx;
  return top + (bottom - top) * sy;
}

function smooth(t: number): number {
  return t * t * (3 - 2 * t);
}
