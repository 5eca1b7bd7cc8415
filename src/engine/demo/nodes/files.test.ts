import { cp, readFile } from "node:fs/promises";
import path from "node:path";
import { inflateSync } from "node:zlib";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { type FileStore, openFileStore } from "../files.ts";
import type { Json } from "../json.ts";
import { readPngTexts } from "../png.ts";
import { decoded, latentOf, runNode, testPicture, valueIn } from "../testing/run-node.ts";
import { at } from "../testing/test-client.ts";
import type { Value } from "./value.ts";

const images = [1, 2, 3].map((seed) => testPicture(16, 8, seed));

/** Runs a node that writes one file, and reads it; `ui` is what the node shows. */
async function written(
  store: FileStore,
  classType: string,
  inputs: Record<string, Json | Value>,
  key: string,
) {
  const { ui } = await runNode(classType, { filename_prefix: "sub/a", ...inputs }, store);
  const ref = at(ui, key, 0);
  const file = path.join(store.directories.output, String(at(ref, "subfolder")), String(at(ref, "filename")));
  return { ui, file, content: await readFile(file) };
}

describe("a node that writes an animation", () => {
  it("writes all pictures into a WebP, with their time and the graph", async () => {
    await using store = await openFileStore(undefined);
    const inputs = {
      images: { kind: "IMAGE", images },
      fps: 8,
      lossless: true,
      quality: 80,
      method: "fastest",
    } as const;
    const { ui, content } = await written(store, "SaveAnimatedWEBP", inputs, "images");
    expect(ui).toEqual({
      images: [{ filename: "a_00001_.webp", subfolder: "sub", type: "output" }],
      animated: [true],
    });
    const { pages, pageHeight, delay, exif } = await sharp(content, { animated: true }).metadata();
    expect({ pages, pageHeight, delay }).toEqual({ pages: 3, pageHeight: 8, delay: [125, 125, 125] });
    expect(exif?.toString("latin1")).toContain("prompt:{}");
    const raw = await sharp(content, { pages: -1 }).removeAlpha().raw().toBuffer();
    expect(raw.equals(Buffer.concat(images.map(({ data }) => data)))).toBe(true);
  });

  it("says of a single picture in a WebP that it does not move", async () => {
    await using store = await openFileStore(undefined);
    const inputs = {
      images: { kind: "IMAGE", images: images.slice(0, 1) },
      fps: 6,
      lossless: false,
    } as const;
    const { ui } = await written(
      store,
      "SaveAnimatedWEBP",
      { ...inputs, quality: 0, method: "slowest" },
      "images",
    );
    expect(ui).toMatchObject({ animated: [false] });
  });

  it("writes all pictures into a PNG that shows the first where animations are unknown", async () => {
    await using store = await openFileStore(undefined);
    const inputs = { images: { kind: "IMAGE", images }, fps: 4, compress_level: 9 } as const;
    const { ui, content } = await written(store, "SaveAnimatedPNG", inputs, "images");
    expect(ui).toMatchObject({ images: [{ filename: "a_00001_.png" }], animated: [true] });
    expect(await sharp(content).removeAlpha().raw().toBuffer()).toEqual(Buffer.from(images[0]?.data ?? []));
    expect(readPngTexts(content)).toMatchObject([{ keyword: "Software" }]);
    const chunks = chunksOf(content);
    expect(chunks.map(({ type }) => type).join(" ")).toBe(
      "IHDR acTL fcTL tEXt IDAT fcTL fdAT fcTL fdAT comf IEND",
    );
    expect(chunks.filter(({ type }) => type === "fcTL").map(({ data }) => data.readUInt16BE(20))).toEqual([
      250, 250, 250,
    ]);
    const last = chunks.findLast(({ type }) => type === "fdAT")?.data.subarray(4) ?? Buffer.alloc(0);
    const rows = inflateSync(last);
    const pixels = Buffer.concat(
      Array.from({ length: 8 }, (_, y) => rows.subarray(y * 49 + 1, (y + 1) * 49)),
    );
    expect(pixels.equals(images[2]?.data ?? Buffer.alloc(0))).toBe(true);
  });
});

describe("a node that keeps latents", () => {
  it("gives back what it has written", async () => {
    await using store = await openFileStore(undefined);
    const samples = await latentOf(...images);
    const { ui, file } = await written(store, "SaveLatent", { samples }, "latents");
    expect(ui).toEqual({ latents: [{ filename: "a_00001_.latent", subfolder: "sub", type: "output" }] });
    const back = await runNode("LoadLatent", { latent: "sub/a_00001_.latent [output]" }, store);
    expect(await decoded(valueIn(back, "LATENT"))).toEqual(images);
    await cp(file, path.join(store.directories.input, "copy.latent"));
    const again = await runNode("LoadLatent", { latent: "copy.latent" }, store);
    expect(valueIn(again, "LATENT").batchSize).toBe(3);
  });

  it.each([
    ["nothing", Buffer.alloc(0)],
    ["a length beyond its end", Buffer.alloc(8, 255)],
    ["no JSON", Buffer.concat([Buffer.from([2, 0, 0, 0, 0, 0, 0, 0]), Buffer.from("{]")])],
    ["latents of a model", tensorFile({ dtype: "F32", shape: [1, 4, 8, 8], data_offsets: [0, 1024] })],
    ["fewer numbers than it says", tensorFile({ dtype: "F32", shape: [1, 8, 8, 3], data_offsets: [0, 8] })],
  ])("refuses a file with %s", async (_, content) => {
    await using store = await openFileStore(undefined);
    const file = { data: content, extension: "latent", width: 0, height: 0 };
    await store.save("input", "bad", [file]);
    await expect(runNode("LoadLatent", { latent: "bad_00001_.latent" }, store)).rejects.toThrow("no latents");
  });
});

describe("a node that writes sound", () => {
  it("writes silence as FLAC", async () => {
    await using store = await openFileStore(undefined);
    const made = await runNode("EmptyAudio", { duration: 0.5, sample_rate: 8010, channels: 1 });
    const inputs = { audio: valueIn(made, "AUDIO") };
    const { ui, content } = await written(store, "SaveAudio", inputs, "audio");
    expect(ui).toEqual({ audio: [{ filename: "a_00001_.flac", subfolder: "sub", type: "output" }] });
    const format = content.readBigUInt64BE(18);
    expect([format >> 44n, (format >> 41n) & 7n, format & 0xfffffffffn]).toEqual([8010n, 0n, 4005n]);
    // FFmpeg decodes these bytes, with all checksums checked, to 4005 samples of silence.
    const frame = content.subarray(content.indexOf(Buffer.from([0xff, 0xf8])));
    expect(frame.toString("hex")).toBe("fff87008000fa4ac00000098a4");
    expect(content.toString("latin1")).toContain("prompt={}");
  });

  it.each([
    [{ duration: 1e9, sample_rate: 44100, channels: 2 }, "Allocation"],
    [{ duration: 0, sample_rate: 44100, channels: 2 }, "Invalid argument"],
    [{ duration: 1, sample_rate: 1_000_000, channels: 2 }, "Invalid argument"],
  ])("fails to make %j", async (inputs, message) => {
    await using store = await openFileStore(undefined);
    const make = async () => {
      const made = await runNode("EmptyAudio", inputs);
      return runNode("SaveAudio", { audio: valueIn(made, "AUDIO"), filename_prefix: "a" }, store);
    };
    await expect(make()).rejects.toThrow(message);
  });
});

describe("a node that shows texts", () => {
  it("shows whatever it is given", async () => {
    const shown: Readonly<Record<string, Json | Value>> = {
      "a text": "a text",
      "1.5": 1.5,
      True: true,
      "9007199254740993": 9007199254740993n,
      None: null,
      '[1,"b"]': [1, "b"],
      "<VAE>": { kind: "VAE", name: "" },
    };
    for (const [text, source] of Object.entries(shown)) {
      expect((await runNode("PreviewAny", { source })).ui).toEqual({ text: [text] });
    }
  });

  it("passes texts and numbers on as they are", async () => {
    expect((await runNode("PrimitiveInt", { value: -9223372036854775807n })).values).toEqual([
      -9223372036854775807n,
    ]);
    const parts = { string_a: "a", string_b: "b", delimiter: ", " };
    expect((await runNode("StringConcatenate", parts)).values).toEqual(["a, b"]);
    expect((await runNode("GetImageSize", { image: { kind: "IMAGE", images } })).values).toEqual([16, 8, 3]);
  });
});

function tensorFile(entry: object): Buffer {
  const header = Buffer.from(JSON.stringify({ latent_tensor: entry }));
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([size, header, Buffer.alloc(1024)]);
}

function chunksOf(png: Buffer): { readonly type: string; readonly data: Buffer }[] {
  const chunks = [];
  for (let start = 8; start < png.length; ) {
    const length = png.readUInt32BE(start);
    const data = png.subarray(start + 8, start + 8 + length);
    chunks.push({ type: png.toString("latin1", start + 4, start + 8), data });
    start += length + 12;
  }
  return chunks;
}
