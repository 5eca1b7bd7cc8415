import { type Canvas, eachRow, type Work } from "./canvas.ts";
import { paintPicture, type Recipe } from "./picture.ts";
import type { Plane } from "./plane.ts";
import { type Hint, layTrace } from "./trace.ts";

/** Another prompt that has a say in a picture. */
export interface Overlay {
  readonly prompt: string;
  /** How much of it shows, 0 to 1. */
  readonly share: number;
  /** Where it shows, in any size; everywhere, if nothing. */
  readonly region: Plane | undefined;
}

/** A picture that another one follows. */
export interface Following {
  /** One for each picture of a batch; they are taken in turn. At least one. */
  readonly hints: readonly Hint[];
  /** How much of it shows, 0 to 1. */
  readonly share: number;
}

/** What a picture is painted into, by a model that knows of it. */
export interface Surroundings {
  /** One for each picture of a batch; they are taken in turn. At least one. */
  readonly canvases: readonly Canvas[];
  /** 1 where the picture is to be new, in any size; likewise. */
  readonly masks: readonly Plane[];
}

/** A recipe, and what else has a say in the picture. */
export interface GuidedRecipe extends Recipe {
  readonly overlays: readonly Overlay[];
  readonly followed: readonly Following[];
  readonly surroundings: Surroundings | undefined;
}

/** How much of its surroundings such a model gives back where it is free to paint. */
const FAITH_TO_SURROUNDINGS = 0.95;

/** Paints a picture in any size, 0 to 255, and lays over it what else has a say. Pauses now and then. */
export function* paintGuided(
  recipe: GuidedRecipe,
  width: number,
  height: number,
): Generator<void, Canvas, void> {
  const canvas = yield* paintPicture(recipe, width, height);
  for (const { prompt, share, region } of recipe.overlays) {
    const other = yield* paintPicture({ ...recipe, prompt }, width, height);
    yield* layOver(canvas, other, region, (inside) => share * inside);
  }
  for (const { hints, share } of recipe.followed) {
    const hint = hints[recipe.index % hints.length];
    if (hint) {
      yield* layTrace(canvas, { hint, share });
    }
  }
  const { canvases = [], masks = [] } = recipe.surroundings ?? {};
  const around = canvases[recipe.index % canvases.length];
  if (around) {
    const mask = masks[recipe.index % masks.length];
    yield* layOver(canvas, around, mask, (inside) => FAITH_TO_SURROUNDINGS * (1 - inside));
  }
  return canvas;
}

/** Lays `other` over `canvas`, by the share that follows from the plane. Both may have any size. */
function* layOver(
  canvas: Canvas,
  other: Canvas,
  plane: Plane | undefined,
  shareOf: (inside: number) => number,
): Work {
  const { width, height, pixels } = canvas;
  const { width: columns, height: rows, data } = plane ?? { width: 1, height: 1, data: [1] };
  yield* eachRow(canvas, 0, height, (y) => {
    const otherRow = Math.floor((y * other.height) / height) * other.width;
    const planeRow = Math.floor((y * rows) / height) * columns;
    for (let x = 0, to = y * width * 3; x < width; x++, to += 3) {
      const from = (otherRow + Math.floor((x * other.width) / width)) * 3;
      const share = shareOf(data[planeRow + Math.floor((x * columns) / width)] ?? 0);
      for (let channel = 0; share > 0 && channel < 3; channel++) {
        const value = pixels[to + channel] ?? 0;
        pixels[to + channel] = value + ((other.pixels[from + channel] ?? 0) - value) * share;
      }
    }
  });
}
