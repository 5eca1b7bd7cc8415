import { type Canvas, createCanvas } from "../picture/canvas.ts";
import { denoisePicture } from "../picture/denoise.ts";
import type { GuidedRecipe } from "../picture/guided.ts";
import { drawNow } from "../picture/picture.ts";
import type { Plane } from "../picture/plane.ts";
import { resample } from "../picture/resample.ts";
import type { Latent, Mask } from "./value.ts";

/** Pixels that a number of a latent image stands for, in both directions. */
export const LATENT_CELL_PX = 8;

/**
 * How a sampler paints the pictures of `latent` anew: the one at `index`, in any size. As in ComfyUI the latent's noise
 * mask is brought to latent size before, so that it tells blocks of 8 × 8 pixels apart, and a picture of a batch gets
 * the noise of its place in it.
 *
 * @param denoise how much of what is there is replaced, 0 to 1; of a blank latent everything is
 */
export function painterOf(
  latent: Latent,
  recipe: GuidedRecipe,
  denoise: number,
): (index: number, width: number, height: number) => Generator<void, Canvas, void> {
  const masks = latent.noiseMask ? cellsOf(latent.noiseMask, latent) : undefined;
  return (index, width, height) => {
    const mask = masks?.[index % masks.length];
    const details = {
      recipe: { ...recipe, index: latent.places?.[index] ?? index },
      before: beforeOf(latent, index, mask !== undefined),
      denoise: latent.canvases ? denoise : 1,
      mask,
    };
    return denoisePicture(details, width, height);
  };
}

/** A canvas of the grey that a blank latent stands for. */
export function blankCanvas(width: number, height: number): Canvas {
  const canvas = createCanvas(width, height);
  canvas.pixels.fill(128);
  return canvas;
}

function beforeOf(latent: Latent, index: number, isMasked: boolean): Canvas | undefined {
  return latent.canvases?.[index] ?? (isMasked ? blankCanvas(latent.width, latent.height) : undefined);
}

function cellsOf({ planes }: Mask, { width, height }: Latent): readonly Plane[] {
  const cells = { width: width / LATENT_CELL_PX, height: height / LATENT_CELL_PX };
  return planes.map((plane) => ({
    ...cells,
    data: drawNow(resample({ ...plane, channels: 1 }, cells.width, cells.height, "bilinear")),
  }));
}
