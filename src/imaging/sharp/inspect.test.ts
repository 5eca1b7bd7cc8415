import { deflateSync } from "node:zlib";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { animation, photo } from "../testing/pictures.ts";
import { pngChunk, pngOf } from "../testing/png-chunks.ts";
import { inspect } from "./inspect.ts";

const limits = { maxPixels: 64_000_000 };
const rejected = { reason: "ASSET_REJECTED" };

describe("inspect", () => {
  it.each([
    ["png", "image/png"],
    ["jpeg", "image/jpeg"],
    ["webp", "image/webp"],
    ["avif", "image/avif"],
  ] as const)("tells what a %s is", async (format, mediaType) => {
    const data = await sharp(await photo(120, 80))
      .toFormat(format)
      .toBuffer();
    expect(await inspect(data, limits)).toEqual({ mediaType, format, widthPx: 120, heightPx: 80 });
  });

  it("tells what a GIF is, which is no format of ours", async () => {
    const data = await sharp(await photo(120, 80))
      .gif()
      .toBuffer();
    expect(await inspect(data, limits)).toEqual({ mediaType: "image/gif", widthPx: 120, heightPx: 80 });
  });

  it.each(["gif", "webp"] as const)("tells the size of one frame of an animated %s", async (format) => {
    const data = await animation(format, 3);
    expect(await inspect(data, limits)).toMatchObject({ widthPx: 50, heightPx: 40 });
  });

  it("tells the size as it is to be shown", async () => {
    const data = await sharp(await photo(120, 80))
      .withMetadata({ orientation: 6 })
      .jpeg()
      .toBuffer();
    expect(await inspect(data, limits)).toMatchObject({ widthPx: 80, heightPx: 120 });
  });

  it("takes what comes after a picture for no part of it", async () => {
    const data = await photo(10, 10);
    expect(await inspect(Buffer.concat([data, Buffer.from("<html>")]), limits)).toMatchObject({
      widthPx: 10,
    });
  });
});

describe("inspect refuses", () => {
  it.each([
    ["nothing at all", ""],
    ["SVG", '<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"/>'],
    ["PDF", "%PDF-1.7\n"],
    ["HTML", "<!doctype html><script>alert(1)</script>"],
    ["TIFF", "II*\0\x08\0\0\0"],
    ["HEIC", "\0\0\0\x18ftypheic\0\0\0\0mif1heic"],
    ["a sound in RIFF", "RIFF\x24\0\0\0WAVEfmt "],
  ])("%s, and says what is taken", async (_what, text) => {
    await expect(inspect(Buffer.from(text, "latin1"), limits)).rejects.toMatchObject({
      ...rejected,
      message: "the file is not an image that is taken: upload a PNG, JPEG, WebP, AVIF or GIF",
    });
  });

  it.each([
    ["PNG", "\x89PNG\r\n\x1a\n"],
    ["JPEG", "\xff\xd8\xff\xe0"],
    ["WebP", "RIFF\x24\0\0\0WEBPVP8 "],
    ["GIF", "GIF89a"],
    ["AVIF", "\0\0\0\x18ftypavif\0\0\0\0avifmif1"],
  ])("HTML that begins like a %s", async (title, magic) => {
    const data = Buffer.from(`${magic}<html><script>alert(1)</script></html>`, "latin1");
    await expect(inspect(data, limits)).rejects.toMatchObject({
      ...rejected,
      message: expect.stringContaining(`begins like a ${title} image, but is damaged`),
    });
  });

  it.each(["png", "jpeg", "webp", "avif", "gif"] as const)(
    "a %s that is cut short, wherever",
    async (format) => {
      const data = await sharp(await photo(200, 150))
        .toFormat(format)
        .toBuffer();
      for (const part of [0.02, 0.3, 0.7, 0.95]) {
        const cut = data.subarray(0, Math.floor(data.length * part));
        await expect(inspect(cut, limits), `${part}`).rejects.toMatchObject(rejected);
      }
      await expect(inspect(data.subarray(0, -3), limits)).rejects.toMatchObject(rejected);
    },
  );

  it.each(["gif", "webp"] as const)("an animated %s that lacks some of its frames", async (format) => {
    const data = await animation(format, 3);
    await expect(inspect(data.subarray(0, -30), limits)).rejects.toMatchObject(rejected);
  });

  it("a PNG whose data is damaged", async () => {
    const data = Buffer.from(await photo(200, 150));
    data.fill(0x55, 1_000, 1_020);
    await expect(inspect(data, limits)).rejects.toMatchObject(rejected);
  });

  it("more pixels than allowed, and says how many", async () => {
    const data = await photo(100, 100);
    expect(await inspect(data, { maxPixels: 10_000 })).toMatchObject({ widthPx: 100 });
    await expect(inspect(data, { maxPixels: 9_999 })).rejects.toMatchObject({
      ...rejected,
      message: expect.stringContaining("the image has 100x100 pixels: at most 9999"),
      details: { metadata: { width_px: "100", height_px: "100", frames: "1", max_pixels: "9999" } },
    });
  });

  it.each(["gif", "webp"] as const)("an animated %s by all of its frames", async (format) => {
    const data = await animation(format, 3);
    expect(await inspect(data, { maxPixels: 6_000 })).toMatchObject({ widthPx: 50 });
    await expect(inspect(data, { maxPixels: 5_999 })).rejects.toMatchObject({
      ...rejected,
      message: expect.stringContaining("50x40 pixels in 3 frames"),
    });
  });

  it("a bomb before it goes off: a few kilobytes for 900 megapixels", async () => {
    const data = bomb(30_000, 30_000);
    expect(data.length).toBeLessThan(200_000);
    const before = process.memoryUsage().rss;
    await expect(inspect(data, limits)).rejects.toMatchObject({
      ...rejected,
      message: expect.stringContaining("30000x30000 pixels"),
    });
    expect(process.memoryUsage().rss - before).toBeLessThan(100 * 1_048_576);
  });

  it("a header of impossible size", async () => {
    await expect(inspect(bomb(0x7fffffff, 0x7fffffff), limits)).rejects.toMatchObject(rejected);
    await expect(inspect(bomb(0, 10), limits)).rejects.toMatchObject(rejected);
  });
});

/** A PNG of one bit a pixel, all of them 0, of which there are a hundred thousand rows at most. */
function bomb(widthPx: number, heightPx: number): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(widthPx, 0);
  header.writeUInt32BE(heightPx, 4);
  header.writeUInt8(1, 8);
  const rows = Buffer.alloc(
    Math.min(100_000_000, (Math.ceil(widthPx / 8) + 1) * Math.min(heightPx, 100_000)),
  );
  return pngOf([pngChunk("IHDR", header), pngChunk("IDAT", deflateSync(rows)), pngChunk("IEND")]);
}
