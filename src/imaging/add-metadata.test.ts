import { createHash } from "node:crypto";
import fc from "fast-check";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { addMetadata } from "./add-metadata.ts";
import type { AddedMetadata } from "./added-metadata.ts";
import { PngStream } from "./png-stream.ts";
import { animation, photo } from "./testing/pictures.ts";
import { pngChunk, withPngChunk } from "./testing/png-chunks.ts";

const formats = ["png", "jpeg", "webp", "avif"] as const;
const mark: AddedMetadata = {
  xmp: { digitalSourceType: "trainedAlgorithmicMedia", creatorTool: "ComfyRPC" },
};
const source = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia";

describe("addMetadata", () => {
  it.each(formats)("writes XMP and parameters into a %s, and leaves every pixel", async (format) => {
    const data = await sharp(await photo(90, 60))
      .withIccProfile("p3")
      .toFormat(format)
      .toBuffer();
    const marked = await added(data, format, { ...mark, parameters: "ein Füchslein 🦊\nSteps: 20" });
    expect(await pixelsOf(marked)).toEqual(await pixelsOf(data));
    const facts = await sharp(marked).metadata();
    expect(facts.xmp?.toString()).toContain(
      `<Iptc4xmpExt:DigitalSourceType>${source}</Iptc4xmpExt:DigitalSourceType>`,
    );
    expect(facts.xmp?.toString()).toContain("<xmp:CreatorTool>ComfyRPC</xmp:CreatorTool>");
    expect(facts.icc).toEqual((await sharp(data).metadata()).icc);
    if (format === "png") {
      expect(facts.comments).toContainEqual({ keyword: "parameters", text: "ein Füchslein 🦊\nSteps: 20" });
    } else {
      const comment = Buffer.from("ein Füchslein 🦊", "utf16le").swap16();
      expect(facts.exif?.includes(comment)).toBe(true);
    }
    const data64 = pictureBytes(data, format);
    expect(pictureBytes(marked, format).equals(data64)).toBe(true);
  });

  it.each(formats)("adds to the XMP and EXIF that a %s has", async (format) => {
    const theirs = await sharp(await photo(30, 20))
      .withExif({ IFD0: { Copyright: "somebody" } })
      .withXmp(
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:format>theirs</dc:format></rdf:Description></rdf:RDF></x:xmpmeta>',
      )
      .toFormat(format)
      .toBuffer();
    const marked = await added(theirs, format, mark);
    const { xmp, exif } = await sharp(marked).metadata();
    expect(xmp?.toString()).toContain("<dc:format>theirs</dc:format>");
    expect(xmp?.toString()).toContain(source);
    expect(exif).toEqual((await sharp(theirs).metadata()).exif);
    expect(await added(marked, format, mark)).toHaveLength(marked.length);
    expect(await pixelsOf(marked)).toEqual(await pixelsOf(theirs));
  });

  it.each([{ lossless: true }, { lossless: false }])(
    "keeps the transparency of a WebP: %j",
    async (options) => {
      const data = await sharp(await photo(31, 17))
        .ensureAlpha(0.4)
        .webp(options)
        .toBuffer();
      const marked = await added(data, "webp", mark);
      expect(await sharp(marked).metadata()).toMatchObject({ width: 31, height: 17, hasAlpha: true });
      expect(await pixelsOf(marked)).toEqual(await pixelsOf(data));
    },
  );

  it("keeps an animated WebP moving", async () => {
    const data = await animation("webp", 3);
    const marked = await added(data, "webp", mark);
    const [before, after] = [data, marked].map((each) => sharp(each, { animated: true }).raw().toBuffer());
    expect(await after).toEqual(await before);
  });

  it("leaves alone what has no room for metadata", async () => {
    const webp = Buffer.from("RIFF\x0c\0\0\0WEBPVP8X\0\0\0\0", "latin1");
    expect(await addMetadata(webp, "webp", mark)).toBeUndefined();
    const avif = await sharp(await photo(12, 12))
      .avif()
      .toBuffer();
    const primary = avif.indexOf("pitm") + 4;
    // An id of four bytes, in a file whose references have two.
    const wide = Buffer.concat([avif.subarray(0, primary), Buffer.from([1]), avif.subarray(primary + 1)]);
    expect(wide.subarray(primary + 4, primary + 8).readUInt32BE()).toBeGreaterThan(0xffff);
    expect(await addMetadata(wide, "avif", mark)).toBeUndefined();
  });

  it("takes the room out of a packet, however much there is", async () => {
    const text = `XML:com.adobe.xmp\0\0\0\0\0<a/></rdf:RDF>${" ".repeat(500_000)}<b/>  \n<?xpacket end="w"?>`;
    const png = withPngChunk(await photo(8, 8), pngChunk("iTXt", Buffer.from(text)));
    expect((await added(png, "png", mark)).includes('  <b/><?xpacket end="w"?>')).toBe(true);
  });

  it.each(formats)("leaves a damaged %s alone, or does some harmless thing to it", async (format) => {
    const whole = await sharp(await photo(12, 12))
      .toFormat(format)
      .toBuffer();
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 5 }),
        fc.nat(whole.length),
        async (bytes, sizeBytes) => {
          const damaged = Buffer.from(whole);
          for (const [at, value] of bytes) {
            damaged.fill(value, at, at + 1);
          }
          const marked = await addMetadata(damaged.subarray(0, sizeBytes), format, mark);
          expect(marked === undefined || marked.length < whole.length + 2_000).toBe(true);
        },
      ),
      { numRuns: 200 },
    );
  });
});

describe("PngStream", () => {
  it("makes the same of a PNG however it is cut into pieces", async () => {
    const png = withPngChunk(await photo(20, 20), pngChunk("tEXt", Buffer.from("prompt\0{}")));
    const whole = await added(png, "png", mark);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(png.length), { maxLength: 20 }), async (cuts) => {
        const places = [0, ...cuts.sort((a, b) => a - b), png.length];
        const pieces = places.slice(1).map((end, i) => png.subarray(places[i], end));
        expect(await passed(pieces, mark)).toEqual(whole);
      }),
      { numRuns: 50 },
    );
  });

  it("passes on what is no PNG, or is cut short, as it is", async () => {
    const png = await photo(20, 20);
    const items = pngChunk("iTXt", Buffer.from("XML:com.adobe.xmp\0\0\0\0\0x"));
    for (const data of [
      Buffer.from("GIF89a"),
      Buffer.alloc(0),
      png.subarray(0, 30),
      withPngChunk(png, items).subarray(0, 60),
    ]) {
      expect(await passed([data], mark)).toEqual(data);
    }
    expect(await passed([png], {})).toEqual(png);
  });

  it("holds nothing of the picture", async () => {
    const png = await photo(20, 20);
    const stream = new PngStream(inPieces([png.subarray(0, 60), png.subarray(60)]), mark);
    const pieces = await Array.fromAsync(stream);
    expect(pieces.some(({ buffer, length }) => buffer === png.buffer && length > 1_000)).toBe(true);
  });

  it("adds to a packet that comes after the data, too", async () => {
    const png = await photo(20, 20);
    const late = pngChunk("iTXt", Buffer.from("XML:com.adobe.xmp\0\0\0\0\0<late/></rdf:RDF>"));
    const other = pngChunk("iTXt", Buffer.from("note\0\0\0\0\0kept"));
    const data = Buffer.concat([png.subarray(0, -12), late, other, png.subarray(-12)]);
    const marked = await passed([data], mark);
    expect(marked.includes("<late/>")).toBe(true);
    expect(marked.includes("kept")).toBe(true);
    expect(marked.toString("latin1").split(source)).toHaveLength(3);
    expect(await pixelsOf(marked)).toEqual(await pixelsOf(png));
  });
});

async function added(data: Buffer, format: (typeof formats)[number], what: AddedMetadata): Promise<Buffer> {
  const result = await addMetadata(data, format, what);
  return Buffer.from(result ?? expect.fail("nothing was added"));
}

async function passed(pieces: readonly Uint8Array[], what: AddedMetadata): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(new PngStream(inPieces(pieces), what)));
}

async function* inPieces(pieces: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* pieces;
}

async function pixelsOf(data: Uint8Array): Promise<string> {
  return createHash("sha256")
    .update(await sharp(data).raw().toBuffer())
    .digest("hex");
}

/** The data of the picture itself, as it stands in the file. */
function pictureBytes(data: Buffer, format: (typeof formats)[number]): Buffer {
  const text = data.toString("latin1");
  switch (format) {
    case "png":
      return data.subarray(text.indexOf("IDAT") - 4);
    case "jpeg":
      return data.subarray(text.indexOf("\xff\xdb"));
    case "webp": {
      const start = text.indexOf("VP8 ");
      return data.subarray(start, start + 8 + data.readUInt32LE(start + 4));
    }
    case "avif": {
      const start = text.indexOf("mdat");
      return data.subarray(start, start - 4 + data.readUInt32BE(start - 4));
    }
  }
}
