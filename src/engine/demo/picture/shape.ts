import { type Canvas, eachRow, type Work } from "./canvas.ts";

/** Corners of a closed polygon: x, y, x, y, … */
export type Polygon = readonly number[];

/** Where a shape lies on the canvas and how it gets its colours. */
export interface Fill {
  /** Colours from `top` to `bottom` (rows of the canvas), as made by `gradientTable`. */
  readonly table: Float32Array;
  readonly top: number;
  readonly bottom: number;
  /** How much of the shape covers what is behind it, 0 to 1. */
  readonly opacity: number;
  /** Brightness of the pixel at (x, y); 1 leaves it as it is. Default: 1 everywhere. */
  readonly shade?: (x: number, y: number) => number;
}

/**
 * Turns an SVG path of absolute `M`, `L`, `C`, `Q` and `Z` commands into polygons, curves cut into short lines.
 */
export function polygonsOf(path: string): Polygon[] {
  const polygons: number[][] = [];
  for (const [, command = "", numbers = ""] of path.matchAll(/([MLCQZ])([^MLCQZ]*)/g)) {
    const values = numbers.match(/-?[\d.]+/g)?.map(Number) ?? [];
    if (command === "M") {
      polygons.push([]);
    }
    const polygon = polygons.at(-1);
    if (polygon) {
      addCommand(polygon, command, values);
    }
  }
  return polygons;
}

/** Fills the union of `polygons` with soft edges. Their direction does not matter. */
export function* fillPolygons(canvas: Canvas, polygons: readonly Polygon[], fill: Fill): Work {
  const box = boundsOf(canvas, polygons);
  if (!box) {
    return;
  }
  const coverage = coverageOf(polygons, box);
  const colours = fill.table.length / 3;
  const perRow = colours / Math.max(1, fill.bottom - fill.top);
  yield* eachRow(canvas, box.top, box.bottom, (y) => {
    const entry = Math.min(colours - 1, Math.max(0, Math.floor((y - fill.top) * perRow))) * 3;
    paintRow(canvas, coverage, box, y, entry, fill);
  });
}

interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

function paintRow(
  canvas: Canvas,
  coverage: Float32Array,
  box: Box,
  y: number,
  entry: number,
  fill: Fill,
): void {
  const { pixels, width } = canvas;
  const { table, opacity, shade } = fill;
  const red = table[entry] ?? 0;
  const green = table[entry + 1] ?? 0;
  const blue = table[entry + 2] ?? 0;
  let from = (y - box.top) * (box.right - box.left + 2);
  let area = 0;
  for (let x = box.left; x < box.right; x++, from++) {
    area += coverage[from] ?? 0;
    const share = Math.min(1, area) * opacity;
    if (share > 0.002) {
      const light = shade ? shade(x, y) : 1;
      const index = (y * width + x) * 3;
      const r = pixels[index] ?? 0;
      const g = pixels[index + 1] ?? 0;
      const b = pixels[index + 2] ?? 0;
      pixels[index] = r + (red * light - r) * share;
      pixels[index + 1] = g + (green * light - g) * share;
      pixels[index + 2] = b + (blue * light - b) * share;
    }
  }
}

function addCommand(polygon: number[], command: string, values: readonly number[]): void {
  if (command === "M" || command === "L") {
    polygon.push(...values);
    return;
  }
  const size = command === "C" ? 6 : 4;
  for (let i = 0; i + size <= values.length; i += size) {
    addCurve(polygon, values.slice(i, i + size));
  }
}

const CURVE_PIECES = 10;

function addCurve(polygon: number[], controls: readonly number[]): void {
  const points = [polygon.at(-2) ?? 0, polygon.at(-1) ?? 0, ...controls];
  for (let piece = 1; piece <= CURVE_PIECES; piece++) {
    polygon.push(...curvePoint(points, piece / CURVE_PIECES));
  }
}

/** De Casteljau: mixes neighbours until one point is left. */
function curvePoint(points: readonly number[], t: number): readonly number[] {
  let level = points;
  while (level.length > 2) {
    const from = level;
    level = from.slice(2).map((value, i) => {
      const before = from[i] ?? 0;
      return before + (value - before) * t;
    });
  }
  return level;
}

function boundsOf(canvas: Canvas, polygons: readonly Polygon[]): Box | undefined {
  let left = canvas.width;
  let right = 0;
  let top = canvas.height;
  let bottom = 0;
  for (const polygon of polygons) {
    for (let i = 0; i < polygon.length; i += 2) {
      const x = polygon[i] ?? 0;
      const y = polygon[i + 1] ?? 0;
      if (x < left) left = x;
      if (x > right) right = x;
      if (y < top) top = y;
      if (y > bottom) bottom = y;
    }
  }
  const box = {
    left: Math.max(0, Math.floor(left)),
    right: Math.min(canvas.width, Math.ceil(right)),
    top: Math.max(0, Math.floor(top)),
    bottom: Math.min(canvas.height, Math.ceil(bottom)),
  };
  return box.left < box.right && box.top < box.bottom ? box : undefined;
}

/**
 * Exact share of each pixel that the polygons cover, as differences along the row: the running sum of a row is the
 * coverage. The method is that of font-rs: every edge adds the area to its right.
 */
function coverageOf(polygons: readonly Polygon[], box: Box): Float32Array {
  const stride = box.right - box.left + 2;
  const coverage = new Float32Array(stride * (box.bottom - box.top));
  for (const polygon of polygons) {
    const direction = signedArea(polygon) < 0 ? -1 : 1;
    const last = polygon.length - 2;
    let x0 = polygon[last] ?? 0;
    let y0 = polygon[last + 1] ?? 0;
    for (let i = 0; i < polygon.length; i += 2) {
      const x1 = polygon[i] ?? 0;
      const y1 = polygon[i + 1] ?? 0;
      if (y0 < y1) {
        addEdge(coverage, stride, box, x0, y0, x1, y1, -direction);
      } else if (y1 < y0) {
        addEdge(coverage, stride, box, x1, y1, x0, y0, direction);
      }
      x0 = x1;
      y0 = y1;
    }
  }
  return coverage;
}

function signedArea(polygon: Polygon): number {
  let area = 0;
  const last = polygon.length - 2;
  let x0 = polygon[last] ?? 0;
  let y0 = polygon[last + 1] ?? 0;
  for (let i = 0; i < polygon.length; i += 2) {
    const x1 = polygon[i] ?? 0;
    const y1 = polygon[i + 1] ?? 0;
    area += x0 * y1 - x1 * y0;
    x0 = x1;
    y0 = y1;
  }
  return area;
}

/** Adds the edge from (x0, y0) down to (x1, y1). */
function addEdge(
  coverage: Float32Array,
  stride: number,
  box: Box,
  x0: number,
  y0: number,
  x1: number,
  y1: number,
  direction: number,
): void {
  const slope = (x1 - x0) / (y1 - y0);
  const firstRow = Math.max(box.top, Math.floor(y0));
  const endRow = Math.min(box.bottom, Math.ceil(y1));
  const width = box.right - box.left;
  for (let row = firstRow; row < endRow; row++) {
    const from = Math.max(y0, row);
    const to = Math.min(y1, row + 1);
    const height = (to - from) * direction;
    const xa = clamp(x0 + (from - y0) * slope - box.left, width);
    const xb = clamp(x0 + (to - y0) * slope - box.left, width);
    addSpan(coverage, (row - box.top) * stride, Math.min(xa, xb), Math.max(xa, xb), height);
  }
}

/** Adds a piece of an edge that stays within one row and crosses the columns from `left` to `right`. */
function addSpan(coverage: Float32Array, row: number, left: number, right: number, height: number): void {
  const first = Math.floor(left);
  const end = Math.ceil(right);
  if (end <= first + 1) {
    const inside = height * (1 - ((left + right) / 2 - first));
    coverage[row + first] = (coverage[row + first] ?? 0) + inside;
    coverage[row + first + 1] = (coverage[row + first + 1] ?? 0) + height - inside;
    return;
  }
  const perColumn = height / (right - left);
  let before = 0;
  for (let column = first; column < end; column++) {
    // Area right of the edge within this column, plus all of the height that the edge has already passed.
    const a = Math.max(left, column);
    const b = Math.min(right, column + 1);
    const passed = perColumn * (a - left);
    const here = perColumn * (b - a);
    const area = passed + here * (1 - ((a + b) / 2 - column));
    coverage[row + column] = (coverage[row + column] ?? 0) + area - before;
    before = area;
  }
  coverage[row + end] = (coverage[row + end] ?? 0) + height - before;
}

function clamp(x: number, width: number): number {
  return x < 0 ? 0 : Math.min(x, width);
}
