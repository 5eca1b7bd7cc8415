import sharp, { type Sharp } from "sharp";
import { describe, expect, it } from "vitest";
import { animation, photo } from "../testing/pictures.ts";
import { pngChunk, withPngChunk } from "../testing/png-chunks.ts";
import { toInput } from "./to-input.ts";

const limits = { maxPixels: 2_000 };
const redRange = [expect.any(Number), expect.any(Number)];
const opaque = { widthPx: 30, heightPx: 20, hasTransparency: false, redRange };
const transparent = { ...opaque, hasTransparency: true };

/** A picture whose left half is opaque and whose right half is not there at all. */
async function halfThere(): Promise<Sharp> {
  const hole = sharp({ create: { width: 15, height: 20, channels: 4, background: "#000" } }).png();
  return sharp(await photo(30, 20)).composite([
    { input: await hole.toBuffer(), left: 15, top: 0, blend: "dest-out" },
  ]);
}

describe("toInput leaves as it is", () => {
  it.each([
    ["a PNG", () => photo(30, 20), opaque],
    [
      "a JPEG",
      async () =>
        await sharp(await photo(30, 20))
          .jpeg()
          .toBuffer(),
      opaque,
    ],
    [
      "a WebP",
      async () =>
        await sharp(await photo(30, 20))
          .webp()
          .toBuffer(),
      opaque,
    ],
    [
      "a grey PNG",
      async () =>
        await sharp(await photo(30, 20))
          .greyscale()
          .png()
          .toBuffer(),
      opaque,
    ],
    [
      "a grey JPEG",
      async () =>
        await sharp(await photo(30, 20))
          .greyscale()
          .jpeg()
          .toBuffer(),
      opaque,
    ],
    ["a PNG with an alpha channel", async () => await (await halfThere()).png().toBuffer(), transparent],
    ["a WebP with one", async () => await (await halfThere()).webp().toBuffer(), transparent],
    ["a grey one", async () => await (await halfThere()).greyscale().png().toBuffer(), transparent],
    [
      "a PNG with a palette and alpha",
      async () => await (await halfThere()).png({ palette: true, colours: 16 }).toBuffer(),
      transparent,
    ],
    [
      "one whose alpha channel says nothing",
      async () =>
        await sharp(await photo(30, 20))
          .ensureAlpha()
          .png()
          .toBuffer(),
      opaque,
    ],
  ] as const)("%s", async (_what, make, facts) => {
    const data = await make();
    const { data: same, mediaType, ...found } = await toInput(data, limits);
    expect(same).toBe(data);
    expect(mediaType).toBe(`image/${(await sharp(data).metadata()).format}`);
    expect(found).toEqual(facts);
  });

  it("a photo that its metadata say to turn, and tells its size after that", async () => {
    const data = await sharp(await photo(30, 20))
      .withMetadata({ orientation: 6 })
      .jpeg()
      .toBuffer();
    expect(await toInput(data, limits)).toEqual({
      data,
      mediaType: "image/jpeg",
      widthPx: 20,
      heightPx: 30,
      hasTransparency: false,
      redRange,
    });
  });
});

describe("toInput makes a plain PNG of", () => {
  it.each([
    [
      "an AVIF",
      async () =>
        await sharp(await photo(30, 20))
          .avif()
          .toBuffer(),
      opaque,
    ],
    ["an AVIF with alpha", async () => await (await halfThere()).avif().toBuffer(), transparent],
    [
      "a GIF",
      async () =>
        await sharp(await photo(30, 20))
          .gif()
          .toBuffer(),
      opaque,
    ],
    ["a GIF with holes", async () => await (await halfThere()).gif().toBuffer(), transparent],
    [
      "a JPEG in CMYK",
      async () =>
        await sharp(await photo(30, 20))
          .toColourspace("cmyk")
          .jpeg()
          .toBuffer(),
      opaque,
    ],
    [
      "16 bits of colour",
      async () =>
        await sharp(await photo(30, 20))
          .toColourspace("rgb16")
          .png()
          .toBuffer(),
      opaque,
    ],
    [
      "16 bits of grey",
      async () =>
        await sharp(await photo(30, 20))
          .toColourspace("grey16")
          .png()
          .toBuffer(),
      opaque,
    ],
    [
      "16 bits with alpha",
      async () => await (await halfThere()).toColourspace("rgb16").png().toBuffer(),
      transparent,
    ],
  ] as const)("%s", async (_what, make, facts) => {
    const data = await make();
    const { data: png, mediaType, ...found } = await toInput(data, limits);
    expect(mediaType).toBe("image/png");
    expect(found).toEqual(facts);
    expect(await sharp(png).metadata()).toMatchObject({ format: "png", depth: "uchar", space: "srgb" });
    expect(await differenceOf(png, data)).toBeLessThan(2);
  });

  it.each(["gif", "webp"] as const)("the first frame of an animated %s", async (format) => {
    const { data, ...facts } = await toInput(await animation(format, 3), limits);
    expect(facts).toEqual({
      mediaType: "image/png",
      widthPx: 50,
      heightPx: 40,
      hasTransparency: false,
      redRange,
    });
    const [r, g, b] = await sharp(data).raw().toBuffer();
    expect(Math.max(Math.abs(0 - (r ?? 0)), Math.abs(255 - (g ?? 0)), Math.abs(90 - (b ?? 0)))).toBeLessThan(
      6,
    );
  });

  it("a PNG in which a colour counts as transparent", async () => {
    const black = sharp({ create: { width: 30, height: 20, channels: 3, background: "#000" } });
    const data = withPngChunk(await black.png().toBuffer(), pngChunk("tRNS", Buffer.alloc(6)));
    const { data: png, ...facts } = await toInput(data, limits);
    expect(facts).toEqual({ mediaType: "image/png", ...transparent });
    expect((await sharp(png).metadata()).channels).toBe(4);
  });

  it("an animated PNG", async () => {
    const still = await photo(30, 20);
    const animated = withPngChunk(still, pngChunk("acTL", Buffer.of(0, 0, 0, 1, 0, 0, 0, 0)));
    const { data: png, ...facts } = await toInput(animated, limits);
    expect(facts).toEqual({ mediaType: "image/png", ...opaque });
    expect(Buffer.from(png).includes("acTL")).toBe(false);
    expect(await differenceOf(png, still)).toBe(0);
  });

  it("a picture to be turned, turned and without metadata", async () => {
    const data = await sharp(await photo(30, 20))
      .withMetadata({ orientation: 6 })
      .withExifMerge({ IFD0: { Copyright: "me" } })
      .avif()
      .toBuffer();
    const { data: png, ...facts } = await toInput(data, limits);
    expect(facts).toEqual({
      mediaType: "image/png",
      widthPx: 20,
      heightPx: 30,
      hasTransparency: false,
      redRange,
    });
    expect((await sharp(png).metadata()).exif).toBeUndefined();
  });
});

it.each([
  ["no image", Buffer.from("%PDF-1.7")],
  ["a damaged one", Buffer.from("\x89PNG\r\n\x1a\nnothing more", "latin1")],
])("toInput refuses %s", async (_what, data) => {
  await expect(toInput(data, limits)).rejects.toMatchObject({ reason: "ASSET_REJECTED" });
});

/** The largest difference of two pictures in any channel, in 8 bits. */
async function differenceOf(a: Uint8Array, b: Uint8Array): Promise<number> {
  const [first, second] = await Promise.all(
    [a, b].map((each) => sharp(each).autoOrient().toColourspace("srgb").ensureAlpha().raw().toBuffer()),
  );
  expect(second?.length).toBe(first?.length);
  return Math.max(...(first ?? []).map((value, i) => Math.abs(value - (second?.[i] ?? 0))));
}

it("toInput decodes nothing that has more pixels than the limit", async () => {
  const refused = expect.objectContaining({
    reason: "ASSET_REJECTED",
    message: expect.stringContaining("30x20 pixels"),
  });
  await expect(toInput(await photo(30, 20), { maxPixels: 599 })).rejects.toEqual(refused);
  const broken = (await photo(30, 20)).subarray(0, 100);
  await expect(toInput(broken, { maxPixels: 599 })).rejects.toEqual(refused);
});

it("tells the least and the most red, of grey and of transparent pixels too", async () => {
  const grey = Buffer.from([10, 200, 30, 40]);
  const raw = { width: 2, height: 2, channels: 1 } as const;
  const png = await sharp(grey, { raw }).toColourspace("b-w").png().toBuffer();
  expect(await toInput(png, limits)).toMatchObject({ redRange: [10, 200] });
  const clear = await sharp({ create: { width: 4, height: 4, channels: 4, background: "#ff000000" } })
    .png()
    .toBuffer();
  expect(await toInput(clear, limits)).toMatchObject({ hasTransparency: true, redRange: [255, 255] });
});

it("refuses what is cut off, though its header is whole", async () => {
  const jpeg = await sharp(await photo(300, 200))
    .jpeg()
    .toBuffer();
  await expect(toInput(jpeg.subarray(0, jpeg.length / 2), limits)).rejects.toMatchObject({
    reason: "ASSET_REJECTED",
  });
});
