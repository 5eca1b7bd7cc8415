import sharp from "sharp";
import type { Canvas } from "./canvas.ts";
import { developPicture } from "./develop.ts";
import type { Pixels } from "./picture.ts";
import { createRandom } from "./random.ts";

/** Longest side of a preview in pixels. */
export const PREVIEW_SIZE_PX = 512;

/** Longest side in which previews are drawn, before they are enlarged: nothing finer shows in a picture under way. */
const DRAWN_SIZE_PX = 160;

/** Shows how a picture emerges from noise. */
export interface PreviewPainter {
  /** The state after the share `done` (0 to 1) of the steps, as a JPEG. */
  readonly jpeg: (done: number) => Promise<Buffer>;
}

/**
 * Prepares the previews of a picture of `width` × `height` pixels, which `paint` paints in any size. `draw` runs the
 * painting, see `NodeContext.draw`; it is called at the first preview, once.
 */
export function createPreviewPainter(
  paint: (width: number, height: number) => Generator<void, Canvas, void>,
  width: number,
  height: number,
  noiseSeed: number,
  draw: <T>(work: Generator<void, T, void>) => Promise<T>,
): PreviewPainter {
  const scale = Math.min(1, DRAWN_SIZE_PX / Math.max(width, height));
  const drawn = {
    width: Math.max(8, Math.round(width * scale)),
    height: Math.max(8, Math.round(height * scale)),
  };
  const shown = Math.min(1, PREVIEW_SIZE_PX / Math.max(width, height));
  const noise = noiseOf(noiseSeed);
  const paintSmall = function* () {
    const canvas = yield* paint(drawn.width, drawn.height);
    return yield* developPicture(canvas, { noise: 0, noiseSeed: 0, vae: "" });
  };
  let levels: Promise<readonly Pixels[]> | undefined;
  return {
    jpeg: async (done) => {
      levels ??= draw(paintSmall()).then(halvings);
      const pixels = emerging(await levels, noise, done);
      return sharp(pixels.data, { raw: { width: pixels.width, height: pixels.height, channels: 3 } })
        .resize(Math.round(width * shown), Math.round(height * shown), { fit: "fill", kernel: "linear" })
        .jpeg({ quality: 90 })
        .toBuffer();
    },
  };
}

/** The picture, and copies of half its size, a quarter, and so on. */
function halvings(first: Pixels): readonly Pixels[] {
  const levels = [first];
  for (let last = first; Math.min(last.width, last.height) >= 16 && levels.length < 6; ) {
    last = half(last);
    levels.push(last);
  }
  return levels;
}

function half(from: Pixels): Pixels {
  const width = from.width >> 1;
  const height = from.height >> 1;
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let i = 0; i < width * 3; i++) {
      const at = y * 2 * from.width * 3 + Math.floor(i / 3) * 6 + (i % 3);
      const below = at + from.width * 3;
      data[y * width * 3 + i] =
        ((from.data[at] ?? 0) +
          (from.data[at + 3] ?? 0) +
          (from.data[below] ?? 0) +
          (from.data[below + 3] ?? 0)) /
        4;
    }
  }
  return { width, height, data };
}

/** Side of the square of noise that is repeated over the picture, in cells. */
const NOISE_CELLS = 64;

/** The same noise at every step, so that the picture seems to surface from it. */
function noiseOf(seed: number): Uint8Array {
  const random = createRandom(seed);
  return Uint8Array.from({ length: NOISE_CELLS * NOISE_CELLS * 3 }, () => 128 + (random() - 0.5) * 190);
}

/** The picture when the share `done` of the steps is over: coarse forms come first, out of fading noise. */
function emerging(levels: readonly Pixels[], noise: Uint8Array, done: number): Pixels {
  const blur = (1 - done) ** 1.2 * (levels.length - 1);
  const index = Math.floor(blur);
  const first = levels[0];
  const fine = levels[index];
  const coarse = levels[index + 1] ?? fine;
  if (!first || !fine || !coarse) {
    throw new RangeError("a preview needs a picture");
  }
  const { width, height } = first;
  const data = new Uint8Array(width * height * 3);
  const noiseShare = (1 - done) ** 1.7;
  const cell = Math.max(1, Math.round(Math.max(width, height) / NOISE_CELLS));
  const a = new RowReader(fine, width, height);
  const b = new RowReader(coarse, width, height);
  for (let y = 0, i = 0; y < height; y++) {
    const rowA = a.row(y);
    const rowB = b.row(y);
    const noiseRow = (Math.floor(y / cell) % NOISE_CELLS) * NOISE_CELLS;
    for (let x = 0; x < width; x++) {
      const from = (noiseRow + (Math.floor(x / cell) % NOISE_CELLS)) * 3;
      for (let channel = 0; channel < 3; channel++, i++) {
        const at = x * 3 + channel;
        const near = rowA[at] ?? 0;
        const clean = near + ((rowB[at] ?? 0) - near) * (blur - index);
        data[i] = clean + ((noise[from + channel] ?? 0) - clean) * noiseShare;
      }
    }
  }
  return { width, height, data };
}

/** Enlarges a picture to `width` × `height` row by row, with soft transitions. */
class RowReader {
  readonly #from: Pixels;
  readonly #scaleX: number;
  readonly #scaleY: number;
  readonly #row: Float32Array;

  constructor(from: Pixels, width: number, height: number) {
    this.#from = from;
    this.#scaleX = from.width / width;
    this.#scaleY = from.height / height;
    this.#row = new Float32Array(width * 3);
  }

  row(y: number): Float32Array {
    const { width, height, data } = this.#from;
    const fy = Math.min(height - 1, Math.max(0, (y + 0.5) * this.#scaleY - 0.5));
    const y0 = Math.floor(fy);
    const shareY = fy - y0;
    const upper = y0 * width * 3;
    const lower = Math.min(height - 1, y0 + 1) * width * 3;
    for (let i = 0, x = 0; i < this.#row.length; i += 3, x++) {
      const fx = Math.min(width - 1, Math.max(0, (x + 0.5) * this.#scaleX - 0.5));
      const x0 = Math.floor(fx);
      const shareX = fx - x0;
      const left = x0 * 3;
      const right = Math.min(width - 1, x0 + 1) * 3;
      for (let channel = 0; channel < 3; channel++) {
        const a = data[upper + left + channel] ?? 0;
        const c = data[lower + left + channel] ?? 0;
        const top = a + ((data[upper + right + channel] ?? 0) - a) * shareX;
        const bottom = c + ((data[lower + right + channel] ?? 0) - c) * shareX;
        this.#row[i + channel] = top + (bottom - top) * shareY;
      }
    }
    return this.#row;
  }
}
