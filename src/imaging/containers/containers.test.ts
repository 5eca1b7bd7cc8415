import fc from "fast-check";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import type { UploadMediaType } from "../media-type.ts";
import { assertWellFormed, stripMetadata } from "../strip-metadata.ts";
import { animation, photo } from "../testing/pictures.ts";
import { pngChunk, pngOf } from "../testing/png-chunks.ts";

const rejected = expect.objectContaining({ reason: "ASSET_REJECTED" });

describe("damaged files", () => {
  const files: readonly (readonly [UploadMediaType, () => Promise<Buffer>])[] = [
    ["image/png", () => photo(20, 20)],
    [
      "image/jpeg",
      async () =>
        sharp(await photo(20, 20))
          .withExif({ IFD0: { Copyright: "x" } })
          .jpeg()
          .toBuffer(),
    ],
    [
      "image/webp",
      async () =>
        sharp(await photo(20, 20))
          .withExif({ IFD0: { Copyright: "x" } })
          .webp()
          .toBuffer(),
    ],
    [
      "image/avif",
      async () =>
        sharp(await photo(20, 20))
          .withExif({ IFD0: { Copyright: "x" } })
          .avif()
          .toBuffer(),
    ],
    ["image/gif", () => animation("gif", 3)],
  ];

  it.each(files)("of type %s are refused or stripped, and nothing else happens", async (mediaType, make) => {
    const whole = await make();
    const damages = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 5 });
    fc.assert(
      fc.property(damages, fc.nat(whole.length), (bytes, sizeBytes) => {
        const damaged = Buffer.from(whole);
        for (const [at, value] of bytes) {
          damaged.fill(value, at, at + 1);
        }
        const data = damaged.subarray(0, sizeBytes);
        try {
          assertWellFormed(data, mediaType);
          expect(stripMetadata(data, mediaType).length).toBeLessThanOrEqual(data.length);
        } catch (error) {
          expect(error).toEqual(rejected);
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe("files that are made to keep us busy", () => {
  it("of very many chunks or blocks are refused", async () => {
    const png = pngOf(Array.from({ length: 100_001 }, () => pngChunk("tEXt")));
    expect(() => assertWellFormed(png, "image/png")).toThrow(rejected);
    const gif = Buffer.concat([
      Buffer.from("GIF89a\0\0\0\0\0\0\0"),
      Buffer.alloc(600_000, "\x21\xfe\0", "latin1"),
    ]);
    expect(() => assertWellFormed(gif, "image/gif")).toThrow(rejected);
    const jpeg = Buffer.concat([Buffer.from([0xff, 0xd8]), Buffer.alloc(400_000, "\xff\xd0", "latin1")]);
    expect(() => assertWellFormed(jpeg, "image/jpeg")).toThrow(rejected);
  });

  it.each([
    ["very many places of no size", { sizes: 0x0000, extents: 60_000, bytes: 0 }],
    ["the whole file as metadata again and again", { sizes: 0x4400, extents: 5_000, bytes: 8 }],
  ])("of %s are refused", (_what, { sizes, extents, bytes }) => {
    const items = Array.from({ length: 20 }, (_, id) => {
      const places = Buffer.alloc(extents * bytes);
      for (let at = 0; at < places.length; at += 8) {
        places.writeUInt32BE(100_000, at + 4);
      }
      return Buffer.concat([numbers(id, 0, extents), places]);
    });
    const types = items.map((_, id) =>
      box("infe", Buffer.concat([numbers(0x0200, 0, id, 0), Buffer.from("Exif\0")])),
    );
    const meta = box(
      "meta",
      Buffer.concat([
        numbers(0, 0),
        box("iinf", Buffer.concat([numbers(0, 0, items.length), ...types])),
        box("iloc", Buffer.concat([numbers(0, 0, sizes, items.length), ...items])),
      ]),
    );
    const data = Buffer.concat([box("ftyp", Buffer.from("avif\0\0\0\0avif")), meta]);
    expect(() => stripMetadata(data, "image/avif")).toThrow(rejected);
  });
});

function box(type: string, content: Buffer): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt32BE(8 + content.length);
  header.write(type, 4, "latin1");
  return Buffer.concat([header, content]);
}

/** Numbers of 16 bits. */
function numbers(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 2);
  values.forEach((value, i) => {
    bytes.writeUInt16BE(value, i * 2);
  });
  return bytes;
}
