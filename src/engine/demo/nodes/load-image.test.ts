import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { type FileStore, openFileStore } from "../files.ts";
import { runNode, valueIn } from "../testing/run-node.ts";

/** Four pixels: colour and opacity differ. */
const rgba = Buffer.from([10, 20, 30, 255, 40, 50, 60, 0, 70, 80, 90, 51, 1, 2, 3, 204]);

describe("a node that loads a picture", () => {
  it("gives its colours, and what is transparent as mask", async () => {
    await using store = await openFileStore(undefined);
    await put(
      store,
      "a.png",
      await sharp(rgba, { raw: { width: 2, height: 2, channels: 4 } })
        .png()
        .toBuffer(),
    );
    const result = await runNode("LoadImage", { image: "a.png" }, store);
    const rgb = Uint8Array.of(10, 20, 30, 40, 50, 60, 70, 80, 90, 1, 2, 3);
    expect(valueIn(result, "IMAGE").images).toEqual([{ width: 2, height: 2, data: rgb }]);
    expect(maskIn(result)).toEqual({ width: 2, height: 2, values: [0, 1, 0.8, 0.2] });
  });

  it("gives an empty mask of 64 × 64 for a picture without alpha", async () => {
    await using store = await openFileStore(undefined);
    await put(
      store,
      "a.jpg",
      await sharp(rgba, { raw: { width: 2, height: 2, channels: 4 } })
        .jpeg()
        .toBuffer(),
    );
    const mask = maskIn(await runNode("LoadImage", { image: "a.jpg" }, store));
    expect(mask).toEqual({ width: 64, height: 64, values: Array(64 * 64).fill(0) });
  });

  it.each([
    ["alpha", [0, 1, 0.8, 0.2]],
    ["red", [10, 40, 70, 1].map((byte) => byte / 255)],
    ["green", [20, 50, 80, 2].map((byte) => byte / 255)],
    ["blue", [30, 60, 90, 3].map((byte) => byte / 255)],
  ])("takes the channel %s as mask", async (channel, values) => {
    await using store = await openFileStore(undefined);
    await put(
      store,
      "a.png",
      await sharp(rgba, { raw: { width: 2, height: 2, channels: 4 } })
        .png()
        .toBuffer(),
    );
    const mask = maskIn(await runNode("LoadImageMask", { image: "a.png", channel }, store));
    expect(mask.values.map((value) => value.toFixed(5))).toEqual(values.map((value) => value.toFixed(5)));
  });

  it("takes an alpha that is not there as opaque, in the size of the picture", async () => {
    await using store = await openFileStore(undefined);
    await put(store, "grey.png", await grey(3, 2, 99));
    const read = (channel: string) => runNode("LoadImageMask", { image: "grey.png", channel }, store);
    expect(maskIn(await read("alpha"))).toEqual({ width: 3, height: 2, values: Array(6).fill(0) });
    expect(maskIn(await read("red")).values[0]).toBeCloseTo(99 / 255, 6);
  });

  it("finds files in subfolders and in the other directories", async () => {
    await using store = await openFileStore(undefined);
    await put(store, "sub/dir/a.png", await grey(3, 2, 1));
    await put(store, "b.png", await grey(5, 4, 1), "temp");
    for (const [image, width] of [["sub/dir/a.png", 3] as const, ["b.png [temp]", 5] as const]) {
      const result = await runNode("LoadImage", { image }, store);
      expect(valueIn(result, "IMAGE").images).toMatchObject([{ width }]);
      expect(maskIn(await runNode("LoadImageMask", { image, channel: "alpha" }, store))).toMatchObject({
        width,
      });
    }
  });

  it("turns a photo the way its camera was held", async () => {
    await using store = await openFileStore(undefined);
    const photo = await sharp(await grey(6, 4, 1))
      .withMetadata({ orientation: 6 })
      .jpeg()
      .toBuffer();
    await put(store, "photo.jpg", photo);
    const { values } = await runNode("LoadImage", { image: "photo.jpg" }, store);
    expect(values[0]).toMatchObject({ images: [{ width: 4, height: 6 }] });
  });

  it("gives all frames of a picture that moves", async () => {
    await using store = await openFileStore(undefined);
    const frames = Buffer.concat([50, 100, 150].map((value) => Buffer.alloc(8 * 8 * 3, value)));
    const moving = sharp(frames, { raw: { width: 8, height: 24, channels: 3, pageHeight: 8 } });
    await put(store, "moving.webp", await moving.webp({ lossless: true, delay: [50, 60, 70] }).toBuffer());
    const result = await runNode("LoadImage", { image: "moving.webp" }, store);
    const { images } = valueIn(result, "IMAGE");
    expect(images.map(({ width, height, data }) => [width, height, data[0]])).toEqual([
      [8, 8, 50],
      [8, 8, 100],
      [8, 8, 150],
    ]);
  });

  it("fails as Pillow does on what is no picture", async () => {
    await using store = await openFileStore(undefined);
    await put(store, "a.png", Buffer.from("<html>"));
    await expect(runNode("LoadImage", { image: "a.png" }, store)).rejects.toMatchObject({
      exceptionType: "PIL.UnidentifiedImageError",
    });
  });
});

async function put(store: FileStore, name: string, content: Buffer, type: "input" | "temp" = "input") {
  const file = path.join(store.directories[type], name);
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, content);
}

function grey(width: number, height: number, value: number): Promise<Buffer> {
  const raw = { width, height, channels: 1 } as const;
  return sharp(Buffer.alloc(width * height, value), { raw })
    .toColourspace("b-w")
    .png()
    .toBuffer();
}

function maskIn(result: Awaited<ReturnType<typeof runNode>>) {
  const [plane] = valueIn(result, "MASK").planes;
  const values = [...(plane?.data ?? [])].map((value) => Number(value.toFixed(6)));
  return { width: plane?.width, height: plane?.height, values };
}
