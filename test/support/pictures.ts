import sharp from "sharp";
import { expect } from "vitest";

/** A picture as its pixels, to compare it with others. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  /** Three bytes a pixel. */
  readonly data: Buffer;
  readonly png: Buffer;
  /** The same, as an image that a spec takes. */
  readonly input: ReturnType<typeof inline>;
}

export type Pixel = readonly [x: number, y: number];

/** @param png of 8 bits; its alpha is left out */
export async function decode(png: Buffer): Promise<Picture> {
  const { data, info } = await sharp(png).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, data, png, input: inline(png) };
}

/** `value` as an image that comes with its request. */
export function inline(value: Uint8Array) {
  return { source: { case: "data", value } } as const;
}

/** White where it is to be drawn, black else. */
export async function maskOf(
  width: number,
  height: number,
  { left, top, ...size }: { left: number; top: number; width: number; height: number },
) {
  const white = await sharp({ create: { ...size, channels: 3, background: "#fff" } })
    .png()
    .toBuffer();
  const mask = sharp({ create: { width, height, channels: 3, background: "#000" } });
  return inline(
    await mask
      .composite([{ input: white, left, top }])
      .png()
      .toBuffer(),
  );
}

/** The picture with a hole in it: the same pixels, those in the hole transparent. */
export async function holedAt(
  { width, height, data }: Picture,
  { left, top, ...hole }: { left: number; top: number; width: number; height: number },
) {
  const alpha = Buffer.alloc(width * height, 255);
  for (let y = top; y < top + hole.height; y++) {
    alpha.fill(0, y * width + left, y * width + left + hole.width);
  }
  const image = sharp(data, { raw: { width, height, channels: 3 } });
  return inline(
    await image
      .joinChannel(alpha, { raw: { width, height, channels: 1 } })
      .png()
      .toBuffer(),
  );
}

/** Where two pictures of one size differ, row by row. */
export function changedPixels(a: Picture, b: Picture): Pixel[] {
  expect([a.width, a.height]).toEqual([b.width, b.height]);
  return Array.from({ length: a.width * a.height }, (_, i) => i)
    .filter((i) => !a.data.subarray(3 * i, 3 * i + 3).equals(b.data.subarray(3 * i, 3 * i + 3)))
    .map((i) => [i % a.width, Math.floor(i / a.width)] as const);
}

/** Mean of what the channels differ by, 0 to 255. */
export function meanDifference(a: Picture, b: Picture): number {
  expect(a.data).toHaveLength(b.data.length);
  return a.data.reduce((sum, value, i) => sum + Math.abs(value - (b.data[i] ?? 0)), 0) / a.data.length;
}
