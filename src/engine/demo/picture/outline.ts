import { waves } from "./field.ts";
import { between, createRandom, type Random } from "./random.ts";
import type { Layer } from "./scene.ts";
import type { Polygon } from "./shape.ts";

/** Height of the upper edge of a layer's land (without what grows on it), as a share of the picture's height. */
export function edgeOf(layer: Layer): (x: number) => number {
  const { seed, y, amplitude, frequency } = layer;
  switch (layer.outline) {
    case "mountains":
      return (x) => y - amplitude * (ridged(seed, x * frequency) - 0.35);
    case "dunes":
      return (x) => y - amplitude * crest(seed, x * frequency);
    case "hills":
      return (x) => y - amplitude * waves(seed, x * frequency, 3, 0.4);
    case "ground":
      return (x) => y - amplitude * waves(seed, x * frequency, 2, 0.3);
    case "forest":
      return (x) => y + 0.035 - 0.025 * waves(seed, x * 2.1, 2);
    case "city":
      return () => y + amplitude * 0.55;
  }
}

/** Polygons of a layer in pixels: the land down to the picture's lower edge, and what stands on it. */
export function outlineOf(layer: Layer, width: number, height: number): Polygon[] {
  const edge = edgeOf(layer);
  const polygons: Polygon[] = [landBelow(edge, width, height)];
  if (layer.outline === "forest") {
    polygons.push(...trees(layer, edge, width, height));
  } else if (layer.outline === "city") {
    polygons.push(...towers(layer, width, height).map((tower) => tower.polygon));
  }
  return polygons;
}

/** A building, in shares of the picture's height. */
export interface Tower {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly polygon: Polygon;
}

/** The buildings of a city layer. */
export function towers(layer: Layer, width: number, height: number): Tower[] {
  const random = createRandom(layer.seed);
  const aspect = width / height;
  const base = layer.y + layer.amplitude * 0.6;
  const result: Tower[] = [];
  for (let left = -0.05; left < aspect + 0.05; ) {
    const right = left + between(random, 0.55, 1.3) / layer.frequency;
    // Taller towards the middle, as a skyline is.
    const middle = 1 - Math.min(1, Math.abs((left + right) / 2 / aspect - 0.5) * 1.5);
    const top = base - layer.amplitude * (0.25 + 0.55 * random() + 0.75 * middle * random());
    result.push({ left, right, top, polygon: towerPolygon(random, left, right, top, base + 0.3, height) });
    left = right + between(random, -0.1, 0.12) / layer.frequency;
  }
  return result;
}

function landBelow(edge: (x: number) => number, width: number, height: number): Polygon {
  const points: number[] = [-1, height + 1];
  const step = Math.max(1, width / 512);
  for (let x = -1; x <= width + step; x += step) {
    points.push(x, edge(x / height) * height);
  }
  points.push(width + 1 + step, height + 1);
  return points;
}

/** Sharp ridges and smooth valleys, 0 to 1. */
function ridged(seed: number, x: number): number {
  const big = 1 - Math.abs(waves(seed, x, 2, 0.4)) * 1.6;
  const small = 1 - Math.abs(waves(seed + 5, x * 3.1, 3, 0.5)) * 2;
  return big * 0.74 + 0.2 * small + 0.05 * waves(seed + 8, x * 14, 2, 0.5);
}

/** Slow rise and quick fall, as wind shapes sand. */
function crest(seed: number, x: number): number {
  const skewed = x + 0.18 * waves(seed + 3, x * 1.0, 1);
  return waves(seed, skewed, 1) + 0.25 * waves(seed + 9, skewed * 2.3, 1);
}

function trees(layer: Layer, edge: (x: number) => number, width: number, height: number): Polygon[] {
  const random = createRandom(layer.seed);
  const polygons: Polygon[] = [];
  for (let x = -0.5 / layer.frequency; x < width / height + 0.5 / layer.frequency; ) {
    const clearing = 0.55 + 0.45 * waves(layer.seed + 17, x * 2.2, 2);
    const size = layer.amplitude * (0.45 + 0.65 * clearing) * between(random, 0.65, 1.05);
    polygons.push(conifer(random, x * height, (edge(x) + 0.02) * height, size * height));
    x += between(random, 0.35, 1.1) / layer.frequency;
  }
  return polygons;
}

/** A fir: tiers of drooping branches, the lower ones wider. */
function conifer(random: Random, x: number, y: number, size: number): Polygon {
  const tiers = size < 24 ? 4 : 7;
  const halfWidth = size * between(random, 0.17, 0.24);
  const left: number[] = [];
  const right: number[] = [];
  for (let tier = 1; tier <= tiers; tier++) {
    const share = tier / tiers;
    const reach = halfWidth * share ** 0.9;
    const at = y - size * (1 - share * 0.94);
    const lean = between(random, 0.85, 1.1);
    right.push(x + reach * lean, at, x + reach * 0.5, at - size * 0.022);
    left.push(x - reach * between(random, 0.85, 1.1), at, x - reach * 0.5, at - size * 0.022);
  }
  const points = [x, y - size, ...right, x + halfWidth * 0.1, y, x - halfWidth * 0.1, y];
  for (let i = left.length - 2; i >= 0; i -= 2) {
    points.push(left[i] ?? x, left[i + 1] ?? y);
  }
  return points;
}

function towerPolygon(
  random: Random,
  left: number,
  right: number,
  top: number,
  bottom: number,
  height: number,
): Polygon {
  const middle = (left + right) / 2;
  const kind = random();
  const roof =
    kind < 0.12
      ? [left, top, middle, top - (right - left) * 0.6, right, top]
      : kind < 0.3
        ? [
            left,
            top,
            middle - 0.002,
            top,
            middle - 0.002,
            top - 0.05,
            middle + 0.002,
            top - 0.05,
            middle + 0.002,
            top,
            right,
            top,
          ]
        : kind < 0.45
          ? [
              left,
              top + 0.02,
              left + (right - left) * 0.2,
              top + 0.02,
              left + (right - left) * 0.2,
              top,
              right,
              top,
            ]
          : [left, top, right, top];
  return [left, bottom, ...roof, right, bottom].map((value) => value * height);
}
