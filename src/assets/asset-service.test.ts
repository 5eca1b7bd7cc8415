import { createHash } from "node:crypto";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import {
  inPieces,
  makeLargePng,
  makePng,
  never,
  openAssets,
  owner,
  plainUpload,
} from "../../test/support/open-assets.ts";
import { sharpImageCodec } from "../imaging/sharp/sharp-image-codec.ts";

const sha256Of = (data: Uint8Array) => createHash("sha256").update(data).digest("hex");

const rejected = (reason: string, message: RegExp = /./) =>
  expect.objectContaining({ reason, message: expect.stringMatching(message) });

describe("an upload", () => {
  it("becomes an asset that says what its bytes are", async () => {
    await using fixture = await openAssets();
    const { assets, clock } = fixture;
    const png = await makePng(30, 20);
    const asset = await assets.upload(inPieces(png, 7), { ...plainUpload, fileName: "a.gif" }, owner, never);
    expect(asset).toEqual({
      id: sha256Of(png),
      tenant: "",
      sizeBytes: png.length,
      mediaType: "image/png",
      widthPx: 30,
      heightPx: 20,
      fileName: "a.gif",
      createTime: clock.now(),
      expireTime: new Date(clock.now().getTime() + 3_600_000),
    });
    expect(await assets.get(asset.id, owner, never)).toEqual(asset);
    const bytes = await Array.fromAsync(assets.open(asset, { offset: 0, chunkBytes: 10 }, never));
    expect(Buffer.concat(bytes)).toEqual(png);
    expect(bytes.every(({ length }) => length <= 10)).toBe(true);
  });

  it("of the same bytes is the same asset, kept for the longer of the times", async () => {
    await using fixture = await openAssets();
    const { assets, clock } = fixture;
    const png = await makePng();
    const first = await assets.upload(inPieces(png), { ...plainUpload, fileName: "a.png" }, owner, never);
    clock.advance(1_000);
    const longer = { ...plainUpload, fileName: "b.png", retentionMs: 7_200_000 };
    const second = await assets.upload(inPieces(png), longer, owner, never);
    expect(second).toEqual({ ...first, expireTime: new Date(clock.now().getTime() + 7_200_000) });
    const third = await assets.upload(inPieces(png), { ...plainUpload, retentionMs: 60_000 }, owner, never);
    expect(third).toEqual(second);
    expect(await fixture.blobFiles()).toHaveLength(1);
  });

  it("without its metadata is another file", async () => {
    await using fixture = await openAssets();
    const { assets } = fixture;
    const jpeg = await sharp(await makePng(30, 20))
      .withExif({ IFD0: { Copyright: "somebody" } })
      .withMetadata({ orientation: 6 })
      .jpeg()
      .toBuffer();
    const asset = await assets.upload(
      inPieces(jpeg),
      { ...plainUpload, stripMetadata: true, sha256: sha256Of(jpeg) },
      owner,
      never,
    );
    const [bytes = Buffer.alloc(0)] = await Array.fromAsync(
      assets.open(asset, { offset: 0, chunkBytes: 1_000_000 }, never),
    );
    expect(asset).toMatchObject({ id: sha256Of(bytes), sizeBytes: bytes.length, widthPx: 20, heightPx: 30 });
    expect(asset.id).not.toBe(sha256Of(jpeg));
    const { exif, width, orientation } = await sharp(bytes).metadata();
    expect([exif, width, orientation]).toEqual([undefined, 20, undefined]);
    expect(await fixture.blobFiles()).toEqual([expect.stringContaining(asset.id)]);
  });

  it.each([
    ["that is empty", async () => Buffer.alloc(0), {}, "ASSET_REJECTED", /empty/],
    ["that is no image", async () => Buffer.from("hello, I am a text"), {}, "ASSET_REJECTED", /./],
    [
      "that is cut off",
      async () => (await makeLargePng(10_000)).subarray(0, 9_000),
      {},
      "ASSET_REJECTED",
      /./,
    ],
    ["with too many pixels", () => makePng(1_001, 1_000), {}, "ASSET_REJECTED", /./],
    ["with another checksum", () => makePng(), { sha256: "0".repeat(64) }, "ASSET_REJECTED", /SHA-256/],
    ["with too many bytes", () => makeLargePng(101_000), {}, "ASSET_TOO_LARGE", /100000 bytes/],
    [
      "to be kept too long",
      () => makePng(),
      { retentionMs: 7_200_001 },
      "INVALID_FIELD",
      /info.retention.*7200 s/,
    ],
  ] as const)("%s is refused, and nothing of it is left", async (_, make, info, reason, message) => {
    await using fixture = await openAssets({ maxUploadBytes: 100_000 });
    const upload = fixture.assets.upload(inPieces(await make()), { ...plainUpload, ...info }, owner, never);
    await expect(upload).rejects.toThrow(rejected(reason, message));
    expect(await fixture.blobFiles()).toEqual([]);
  });

  it("that is too large says how large it may be", async () => {
    await using fixture = await openAssets({ maxUploadBytes: 10 });
    const upload = fixture.assets.upload(inPieces(await makePng()), plainUpload, owner, never);
    await expect(upload).rejects.toMatchObject({ details: { metadata: { limit_bytes: "10" } } });
  });

  it("that breaks off, or is broken off, leaves nothing behind", async () => {
    await using fixture = await openAssets();
    const png = await makeLargePng(300_000);
    async function* broken() {
      yield* inPieces(png.subarray(0, 200_000));
      throw new Error("the connection is gone");
    }
    await expect(fixture.assets.upload(broken(), plainUpload, owner, never)).rejects.toThrow("is gone");
    const caller = new AbortController();
    async function* silent() {
      yield* inPieces(png.subarray(0, 200_000));
      caller.abort(new Error("cancelled"));
      await new Promise(() => {});
    }
    await expect(fixture.assets.upload(silent(), plainUpload, owner, caller.signal)).rejects.toThrow(
      "cancelled",
    );
    expect(await fixture.blobFiles()).toEqual([]);
  });

  it("is looked into only with so many others", async () => {
    let [running, most] = [0, 0];
    const codec = {
      ...sharpImageCodec,
      async inspect(...args: Parameters<typeof sharpImageCodec.inspect>) {
        most = Math.max(most, ++running);
        try {
          return await sharpImageCodec.inspect(...args);
        } finally {
          running -= 1;
        }
      },
    };
    await using fixture = await openAssets({ maxConcurrentDecodes: 3 }, { codec });
    const pngs = await Promise.all(Array.from({ length: 12 }, (_, i) => makePng(10 + i, 10)));
    const uploads = pngs.map((png) => fixture.assets.upload(inPieces(png), plainUpload, owner, never));
    expect(new Set((await Promise.all(uploads)).map(({ id }) => id)).size).toBe(12);
    expect(most).toBe(3);
  });
});

describe("an upload that is only checked", () => {
  it("is answered as it would be, and not kept", async () => {
    await using fixture = await openAssets();
    const { assets } = fixture;
    const png = await makePng();
    const info = { ...plainUpload, fileName: "a.png", stripMetadata: true };
    const checked = await assets.checkUpload(inPieces(png), info, owner, never);
    expect(await fixture.blobFiles()).toEqual([]);
    await expect(assets.get(checked.id, owner, never)).rejects.toThrow(rejected("ASSET_NOT_FOUND"));
    expect(await assets.upload(inPieces(png), info, owner, never)).toEqual(checked);
  });

  it("is the asset that there is, for the longer of the times", async () => {
    await using fixture = await openAssets();
    const { assets, clock } = fixture;
    const png = await makePng();
    const kept = await assets.upload(inPieces(png), { ...plainUpload, fileName: "a.png" }, owner, never);
    clock.advance(1_000);
    for (const retentionMs of [60_000, 7_200_000]) {
      const info = { ...plainUpload, fileName: "b.png", retentionMs };
      const checked = await assets.checkUpload(inPieces(png), info, owner, never);
      expect(await assets.get(kept.id, owner, never)).toEqual(kept);
      const untilMs = Math.max(kept.expireTime.getTime(), clock.now().getTime() + retentionMs);
      expect(checked).toEqual({ ...kept, expireTime: new Date(untilMs) });
    }
  });

  it.each([
    ["another checksum", { sha256: "0".repeat(64) }, "ASSET_REJECTED"],
    ["too long a time", { retentionMs: 7_200_001 }, "INVALID_FIELD"],
  ] as const)("is refused for %s", async (_, info, reason) => {
    await using fixture = await openAssets();
    const body = inPieces(await makePng());
    const checked = fixture.assets.checkUpload(body, { ...plainUpload, ...info }, owner, never);
    await expect(checked).rejects.toThrow(rejected(reason));
  });
});

describe("an asset", () => {
  it("is read from anywhere to anywhere", async () => {
    await using fixture = await openAssets();
    const { assets } = fixture;
    const png = await makeLargePng(1_000);
    const asset = await assets.upload(inPieces(png), plainUpload, owner, never);
    const read = async (offset: number, lengthBytes?: number) =>
      Buffer.concat(
        await Array.fromAsync(
          assets.open(
            asset,
            { offset, chunkBytes: 100, ...(lengthBytes !== undefined && { lengthBytes }) },
            never,
          ),
        ),
      );
    expect(await read(0, 10)).toEqual(png.subarray(0, 10));
    expect(await read(250)).toEqual(png.subarray(250));
    expect(await read(250, 2 ** 40)).toEqual(png.subarray(250));
    expect(await read(png.length)).toHaveLength(0);
  });

  it("that does not exist is not found, nor that of another tenant", async () => {
    await using fixture = await openAssets();
    const asset = await fixture.assets.upload(inPieces(await makePng()), plainUpload, owner, never);
    const others = fixture.assets.get(asset.id, { tenant: "acme" }, never);
    await expect(others).rejects.toThrow(rejected("ASSET_NOT_FOUND"));
    const unknown = fixture.assets.get("0".repeat(64), owner, never);
    await expect(unknown).rejects.toThrow(rejected("ASSET_NOT_FOUND"));
  });
});

describe("a signed link", () => {
  it("works for its time, and after a restart too, as its key is kept", async () => {
    await using fixture = await openAssets({ publicUrl: "https://images.example.com/comfy/" });
    const { assets, clock, store } = fixture;
    const asset = await assets.upload(inPieces(await makePng()), plainUpload, owner, never);
    const { url, expireTime } = await assets.sign(asset.id, 60_000, owner, never);
    expect(url).toMatch(
      /^https:\/\/images\.example\.com\/comfy\/assets\/[0-9a-f]{64}\?expires=\d+&signature=/,
    );
    const { searchParams } = new URL(url);
    expect(await assets.checkLink(asset.id, searchParams, owner, never)).toEqual({
      type: "valid",
      expireTime,
    });
    expect(expireTime.getTime() - clock.now().getTime()).toBeGreaterThanOrEqual(60_000);
    expect(expireTime.getTime() - clock.now().getTime()).toBeLessThan(61_000);
    expect(await store.signingKey(never)).toHaveLength(32);
    expect(await assets.checkLink(asset.id, new URLSearchParams(), owner, never)).toBeUndefined();
  });

  it("begins with its path if there is no public address", async () => {
    await using fixture = await openAssets({ directLinks: true }); // files have no address of their own
    const { assets } = fixture;
    const { id } = await assets.upload(inPieces(await makePng()), plainUpload, owner, never);
    expect((await assets.sign(id, 60_000, owner, never)).url).toMatch(/^\/assets\//);
  });

  it("leads straight to the store if so wanted and possible", async () => {
    await using files = await openAssets();
    const { id } = await files.assets.upload(inPieces(await makePng()), plainUpload, owner, never);
    let asked: unknown;
    const blobs = {
      stage: files.blobs.stage.bind(files.blobs),
      read: files.blobs.read.bind(files.blobs),
      signedUrl: async (...args: unknown[]) => {
        asked = args.slice(0, 2);
        return "https://bucket.example.com/x";
      },
    };
    for (const directLinks of [true, false]) {
      await using fixture = await openAssets({ directLinks }, { assets: files.store, blobs });
      const { url, expireTime } = await fixture.assets.sign(id, 60_000, owner, never);
      expect(url.startsWith("https://bucket.example.com/x")).toBe(directLinks);
      expect(asked).toEqual([id, { expireTime, mediaType: "image/png", fileName: "" }]);
    }
  });

  it("is not made for what is not there", async () => {
    await using fixture = await openAssets();
    const link = fixture.assets.sign("0".repeat(64), 60_000, owner, never);
    await expect(link).rejects.toThrow(rejected("ASSET_NOT_FOUND"));
  });
});
