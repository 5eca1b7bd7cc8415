import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { encodePng, insertPngTexts, readPngTexts } from "./png.ts";

const picture = () =>
  sharp({ create: { width: 8, height: 8, channels: 3, background: "#336699" } })
    .png()
    .toBuffer();

describe("an encoded PNG", () => {
  it.each([
    [1, 1],
    [7, 5],
    [300, 200],
  ])("of %i × %i pixels holds just these pixels and texts", async (width, height) => {
    const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 7919) % 251);
    const texts = [{ keyword: "prompt", text: "{}" }];
    const png = await encodePng({ width, height, data }, 4, texts);
    const decoded = await sharp(png).raw().toBuffer({ resolveWithObject: true });
    expect(decoded.info).toMatchObject({ width, height, channels: 3 });
    expect(Buffer.compare(decoded.data, data)).toBe(0);
    expect(readPngTexts(png)).toEqual(texts);
  });
});

describe("PNG texts", () => {
  it("come back as they were put in, in order", async () => {
    const texts = [
      { keyword: "prompt", text: '{"3":{}}' },
      { keyword: "Software", text: "naïve" },
      { keyword: "workflow", text: "狐 im Schnee" },
    ];
    expect(readPngTexts(insertPngTexts(await picture(), texts))).toEqual(texts);
  });

  it("leave the picture readable and unchanged", async () => {
    const plain = await picture();
    const marked = insertPngTexts(plain, [
      { keyword: "a", text: "b" },
      { keyword: "c", text: "→" },
    ]);
    const [before, after] = await Promise.all([plain, marked].map((png) => sharp(png).raw().toBuffer()));
    expect(after).toEqual(before);
  });

  it("are none in what is no PNG", () => {
    expect(readPngTexts(Buffer.from("GIF89a"))).toEqual([]);
  });
});
