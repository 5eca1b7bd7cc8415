import sharp, { type Sharp } from "sharp";
import { describe, expect, it } from "vitest";
import { animation, photo } from "../testing/pictures.ts";
import { pngChunk, withPngChunk } from "../testing/png-chunks.ts";
import { inspect } from "./inspect.ts";
import { strip } from "./strip.ts";

const secret = "SECRET-PLACE";
const stills = ["png", "jpeg", "webp", "avif"] as const;

describe("strip", () => {
  it.each(stills)("removes EXIF and XMP from a %s, and leaves every pixel", async (format) => {
    const data = await withSecrets(sharp(await photo(90, 60)))
      .toFormat(format)
      .toBuffer();
    expect(tells(data)).toBe(true);
    const stripped = await strip(data);
    expect(tells(stripped)).toBe(false);
    const facts = await sharp(stripped).metadata();
    expect(facts.xmp?.toString().trim()).toBeFalsy();
    expect(await pixelsOf(stripped)).toEqual(await pixelsOf(data));
    expect(await inspect(stripped, { maxPixels: 10_000 })).toEqual(
      await inspect(data, { maxPixels: 10_000 }),
    );
  });

  it.each(stills)("keeps the colour profile of a %s", async (format) => {
    const image = withSecrets(sharp(await photo(90, 60))).withIccProfile("p3");
    const data = await image.toFormat(format).toBuffer();
    const stripped = await strip(data);
    const { icc } = await sharp(data).metadata();
    expect(icc).toBeDefined();
    expect((await sharp(stripped).metadata()).icc).toEqual(icc);
    expect(tells(stripped)).toBe(false);
  });

  it.each([...stills, "gif" as const])("leaves a %s without metadata as it is", async (format) => {
    const data = await sharp(await photo(90, 60))
      .toFormat(format)
      .toBuffer();
    expect(Buffer.from(await strip(data))).toEqual(data);
  });

  it("removes the texts of a PNG, its time, what is unknown, and what comes after it", async () => {
    const plain = await photo(90, 60);
    let data = plain;
    for (const type of ["tEXt", "zTXt", "iTXt", "tIME", "eXIf", "caBX", "prVt"]) {
      data = withPngChunk(data, pngChunk(type, Buffer.from(`prompt\0${secret}`)));
    }
    expect(Buffer.from(await strip(Buffer.concat([data, Buffer.from(secret)])))).toEqual(plain);
  });

  it("keeps palette, transparency, gamma and 16 bits of a PNG", async () => {
    const rgba = sharp(await photo(90, 60)).ensureAlpha(0.5);
    const deep = sharp(await photo(90, 60)).toColourspace("rgb16");
    for (const plain of [await rgba.png({ palette: true }).toBuffer(), await deep.png().toBuffer()]) {
      const data = withPngChunk(plain, pngChunk("gAMA", Buffer.from([0, 0, 0x80, 0])));
      expect(Buffer.from(await strip(data))).toEqual(data);
    }
  });

  it("removes comments, previews and other pictures from a JPEG", async () => {
    const plain = await sharp(await photo(90, 60))
      .jpeg({ progressive: true })
      .toBuffer();
    const segments = [0xfe, 0xe0, 0xe1, 0xe2, 0xed, 0xef].map((marker) => jpegSegment(marker, secret));
    const odd = Buffer.from([0x12, 0xff, 0x00, 0xff]); // decoders skip such bytes between segments
    const data = Buffer.concat([
      plain.subarray(0, 2),
      ...segments,
      odd,
      plain.subarray(2),
      Buffer.from(secret),
    ]);
    expect(await inspect(data, { maxPixels: 10_000 })).toMatchObject({ widthPx: 90 });
    expect(Buffer.from(await strip(data))).toEqual(plain);
  });

  it("removes comments and additions from a GIF, and keeps it moving", async () => {
    const plain = await animation("gif", 3);
    const headerEnd = 13 + ((plain[10] ?? 0) & 0x80 ? 3 * 2 ** (((plain[10] ?? 0) & 7) + 1) : 0);
    const comment = Buffer.from(`\x21\xfe${String.fromCharCode(secret.length)}${secret}\0`, "latin1");
    const xmp = Buffer.from(
      `\x21\xff\x0bXMP DataXMP${String.fromCharCode(secret.length)}${secret}\0`,
      "latin1",
    );
    const data = Buffer.concat([plain.subarray(0, headerEnd), comment, xmp, plain.subarray(headerEnd)]);
    expect(Buffer.from(await strip(data))).toEqual(plain);
    expect(plain.includes("NETSCAPE2.0")).toBe(true);
  });

  it("keeps an animated WebP moving", async () => {
    const plain = await animation("webp", 3);
    const data = await withSecrets(sharp(plain, { animated: true }))
      .webp({ lossless: true })
      .toBuffer();
    expect(tells(data)).toBe(true);
    const stripped = await strip(data);
    expect(tells(stripped)).toBe(false);
    const [before, after] = [data, stripped].map((each) => sharp(each, { animated: true }));
    expect(await after?.raw().toBuffer()).toEqual(await before?.raw().toBuffer());
  });

  it.each([2, 3, 4, 5, 6, 7, 8])("turns a PNG of orientation %i without loss", async (orientation) => {
    const data = await withSecrets(sharp(await photo(90, 60)), orientation)
      .png()
      .toBuffer();
    const stripped = await strip(data);
    expect((await sharp(stripped).metadata()).orientation).toBeUndefined();
    expect(await sharp(stripped).raw().toBuffer()).toEqual(await sharp(data).autoOrient().raw().toBuffer());
    expect(tells(stripped)).toBe(false);
  });

  it("turns a PNG of 16 bits without loss", async () => {
    const deep = sharp(await photo(90, 60))
      .linear(0.913, 3)
      .toColourspace("rgb16");
    const data = await withSecrets(deep, 6).png().toBuffer();
    const stripped = await strip(data);
    expect((await sharp(stripped).metadata()).depth).toBe("ushort");
    const raw = (image: Sharp) => image.toColourspace("rgb16").raw({ depth: "ushort" }).toBuffer();
    expect(await raw(sharp(stripped))).toEqual(await raw(sharp(data).autoOrient()));
  });

  it.each([
    ["jpeg", {}],
    ["webp", {}],
    ["webp", { lossless: true }],
  ] as const)("turns a %s %j so that no eye sees a difference", async (format, options) => {
    const smooth = await sharp(await photo(90, 60))
      .blur(4)
      .toBuffer();
    const image = withSecrets(sharp(smooth), 6).withIccProfile("p3");
    const data = await image.toFormat(format, options).toBuffer();
    const stripped = await strip(data);
    expect(tells(stripped)).toBe(false);
    const facts = await sharp(stripped).metadata();
    expect(facts).toMatchObject({ format, width: 60, height: 90, hasProfile: true });
    const difference = await largestDifference(sharp(stripped), sharp(data).autoOrient());
    expect(difference).toBeLessThan("lossless" in options ? 3 : 12);
  });

  it("refuses what it cannot turn, and what is no image", async () => {
    const turnedAnimation = await sharp(await animation("webp", 3), { animated: true })
      .withMetadata({ orientation: 6 })
      .webp()
      .toBuffer();
    for (const data of [turnedAnimation, Buffer.from("%PDF"), (await photo(9, 9)).subarray(0, 60)]) {
      await expect(strip(data)).rejects.toMatchObject({ reason: "ASSET_REJECTED" });
    }
  });
});

function withSecrets(image: Sharp, orientation = 1): Sharp {
  return image
    .withMetadata({ orientation })
    .withExifMerge({ IFD0: { Copyright: secret } })
    .withXmp(`<x:xmpmeta xmlns:x="adobe:ns:meta/"><place>${secret}</place></x:xmpmeta>`);
}

function tells(data: Uint8Array): boolean {
  return Buffer.from(data).includes(secret);
}

async function pixelsOf(data: Uint8Array): Promise<Buffer> {
  return await sharp(data).raw().toBuffer();
}

async function largestDifference(a: Sharp, b: Sharp): Promise<number> {
  const [first, second] = [await a.raw().toBuffer(), await b.raw().toBuffer()];
  expect(first.length).toBe(second.length);
  return first.reduce((most, value, i) => Math.max(most, Math.abs(value - (second[i] ?? 0))), 0);
}

function jpegSegment(marker: number, text: string): Buffer {
  const segment = Buffer.alloc(4 + text.length);
  segment.writeUInt16BE(0xff00 + marker, 0);
  segment.writeUInt16BE(2 + text.length, 2);
  segment.write(text, 4);
  return segment;
}
