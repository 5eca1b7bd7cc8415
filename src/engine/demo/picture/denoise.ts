import { type Canvas, eachRow } from "./canvas.ts";
import { type GuidedRecipe, paintGuided } from "./guided.ts";
import type { Plane } from "./plane.ts";

/** What a sampler does to one picture. */
export interface Denoising {
  readonly recipe: GuidedRecipe;
  /** What was there before; nothing if the picture is painted from noise alone. */
  readonly before: Canvas | undefined;
  /** How much of what was there before is replaced, 0 to 1. */
  readonly denoise: number;
  /** Where something is replaced, in any size; everywhere, if nothing. */
  readonly mask: Plane | undefined;
}

/**
 * Paints anew what was there before, in any size. The law of it, for every pixel: the new picture counts for
 * `denoise`^1.5 times the mask, what was there before counts for the rest, so that nothing changes where the mask is 0.
 */
export function* denoisePicture(
  { recipe, before, denoise, mask }: Denoising,
  width: number,
  height: number,
): Generator<void, Canvas, void> {
  const canvas = yield* paintGuided(recipe, width, height);
  if (!before) {
    return canvas;
  }
  // Half way, a diffusion model keeps more of the old picture than half.
  const share = denoise ** 1.5;
  const everywhere: Plane = { width: 1, height: 1, data: Float32Array.of(1) };
  const shares = mask ?? everywhere;
  yield* eachRow(canvas, 0, height, (y) => {
    const beforeRow = Math.floor((y * before.height) / height) * before.width;
    const maskRow = Math.floor((y * shares.height) / height) * shares.width;
    for (let x = 0, to = y * width * 3; x < width; x++) {
      const from = (beforeRow + Math.floor((x * before.width) / width)) * 3;
      const weight = share * (shares.data[maskRow + Math.floor((x * shares.width) / width)] ?? 0);
      for (let channel = 0; weight < 1 && channel < 3; channel++) {
        const old = before.pixels[from + channel] ?? 0;
        canvas.pixels[to + channel] = old + ((canvas.pixels[to + channel] ?? 0) - old) * weight;
      }
      to += 3;
    }
  });
  return canvas;
}
