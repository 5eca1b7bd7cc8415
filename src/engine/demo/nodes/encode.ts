import type { Canvas } from "../picture/canvas.ts";
import { type Box, crop } from "../picture/crop.ts";
import { absorbPicture } from "../picture/develop.ts";
import type { Pixels } from "../picture/picture.ts";
import type { Plane } from "../picture/plane.ts";
import { resample } from "../picture/resample.ts";
import { PythonError } from "../python.ts";
import { LATENT_CELL_PX } from "./latent-painter.ts";
import type { NodeContext } from "./node.ts";
import type { Latent, Mask, Vae } from "./value.ts";

/** Pixels are worked on in blocks; what is left over is cut off. */
export function toLatentSize(pixels: number): number {
  return Math.floor(pixels / LATENT_CELL_PX) * LATENT_CELL_PX;
}

/**
 * Encodes pictures. As in ComfyUI, what they have beyond a multiple of 8 pixels is cut off, on both sides by the same.
 *
 * @throws PythonError if they are too small for a single block
 */
export async function encode(
  images: readonly Pixels[],
  vae: Vae,
  draw: NodeContext["draw"],
): Promise<Latent> {
  const canvases: Canvas[] = [];
  for (const image of images) {
    canvases.push(await draw(absorbPicture(crop(image, latentBoxOf(image)), vae.name)));
  }
  return latentOf(canvases);
}

/** A latent of these pictures, all of the same size, or a blank one without a size. */
export function latentOf(canvases: readonly Canvas[]): Latent {
  const [first] = canvases;
  return {
    kind: "LATENT",
    width: first?.width ?? 0,
    height: first?.height ?? 0,
    batchSize: canvases.length,
    canvases,
    noise: 0,
    seed: undefined,
    checkpoint: undefined,
    noiseMask: undefined,
    places: undefined,
  };
}

/** A mask in the size of the pictures that it belongs to, without what `encode` cuts off of them. */
export async function maskFor(
  { planes }: Mask,
  [first]: readonly Pixels[],
  draw: NodeContext["draw"],
): Promise<readonly Plane[]> {
  if (!first) {
    return planes;
  }
  const { width, height } = first;
  const box = latentBoxOf(first);
  const fitted = [];
  for (const plane of planes) {
    const data = await draw(resample({ ...plane, channels: 1 }, width, height, "bilinear"));
    fitted.push(cropPlane({ width, height, data }, box));
  }
  return fitted;
}

/** Pictures without what `encode` cuts off, and grey where the masks say more than a half. */
export function erased(images: readonly Pixels[], planes: readonly Plane[]): readonly Pixels[] {
  return images.map((image, index) => {
    const kept = crop(image, latentBoxOf(image));
    const plane = planes[index % planes.length];
    const data = kept.data.map((byte, i) => ((plane?.data[Math.floor(i / 3)] ?? 0) > 0.5 ? ERASED : byte));
    return { ...kept, data };
  });
}

/** Middle grey. */
const ERASED = 128;

/** Cuts a part out of a plane, which it must lie within. */
export function cropPlane(plane: Plane, { left, top, width, height }: Box): Plane {
  const data = new Float32Array(width * height);
  for (let y = 0; y < height; y++) {
    const start = (top + y) * plane.width + left;
    data.set(plane.data.subarray(start, start + width), y * width);
  }
  return { width, height, data };
}

/** The part of a picture that latent images can show. */
function latentBoxOf({ width, height }: Pixels): Box {
  const box = {
    left: (width % LATENT_CELL_PX) >> 1,
    top: (height % LATENT_CELL_PX) >> 1,
    width: toLatentSize(width),
    height: toLatentSize(height),
  };
  if (box.width === 0 || box.height === 0) {
    throw new PythonError(
      "RuntimeError",
      `Calculated padded input size per channel: (${height} x ${width}).`,
    );
  }
  return box;
}
