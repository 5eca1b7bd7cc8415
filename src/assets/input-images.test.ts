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
import { ServiceError } from "../domain/errors.ts";
import type { UrlFetcher } from "../fetching/url-fetcher.ts";
import type { InspectLimits } from "../imaging/image-codec.ts";
import { sharpImageCodec } from "../imaging/sharp/sharp-image-codec.ts";
import { photo } from "../imaging/testing/pictures.ts";
import { unreferencedInputMs } from "./asset-service.ts";
import { InputImages } from "./input-images.ts";

const sha256Of = (data: Uint8Array) => createHash("sha256").update(data).digest("hex");
const field = "spec.image_to_image.image";

describe("an input image", () => {
  it("by asset id is that asset, with its facts", async () => {
    await using stage = await openStage();
    const jpeg = await sharp(await photo(30, 20))
      .withMetadata({ orientation: 6 })
      .jpeg()
      .toBuffer();
    const { id } = await stage.assets.upload(inPieces(jpeg), plainUpload, owner, never);
    expect(await stage.resolve({ type: "asset", assetId: id })).toEqual({
      assetId: id,
      fileName: `comfyrpc/${id}.jpg`,
      widthPx: 20,
      heightPx: 30,
      hasTransparency: false,
      redRange: [expect.any(Number), expect.any(Number)],
    });
    expect(await stage.blobFiles()).toEqual([id]);
  });

  it("by its bytes becomes an asset, which is kept for an hour", async () => {
    await using stage = await openStage();
    const png = await sharp(await photo(30, 20))
      .ensureAlpha(0.5)
      .png()
      .toBuffer();
    const input = await stage.resolve({ type: "data", data: png });
    expect(input).toEqual({
      assetId: sha256Of(png),
      fileName: `comfyrpc/${sha256Of(png)}.png`,
      widthPx: 30,
      heightPx: 20,
      hasTransparency: true,
      redRange: [expect.any(Number), expect.any(Number)],
    });
    const { expireTime } = await stage.assets.get(input.assetId, owner, never);
    expect(expireTime.getTime() - stage.clock.now().getTime()).toBe(unreferencedInputMs);
  });

  it.each(["gif", "avif"] as const)(
    "in %s is replaced by a PNG of it, which is made once",
    async (format) => {
      await using stage = await openStage();
      const data = await sharp(await photo(30, 20))
        .toFormat(format)
        .toBuffer();
      const input = await stage.resolve({ type: "data", data });
      expect(input).toMatchObject({ widthPx: 30, heightPx: 20, fileName: `comfyrpc/${input.assetId}.png` });
      expect(input.assetId).not.toBe(sha256Of(data));
      const asset = await stage.assets.get(input.assetId, owner, never);
      expect(asset).toMatchObject({ mediaType: "image/png", widthPx: 30, heightPx: 20 });
      const bytes = await Array.fromAsync(stage.assets.open(asset, { offset: 0, chunkBytes: 99 }, never));
      expect(sha256Of(Buffer.concat(bytes))).toBe(input.assetId);

      expect(await stage.resolve({ type: "asset", assetId: sha256Of(data) })).toEqual(input);
      expect(stage.looks).toBe(1);
    },
  );

  it("whose PNG is used again keeps that for long enough to be read by a job", async () => {
    await using stage = await openStage();
    const data = await sharp(await photo(30, 20))
      .gif()
      .toBuffer();
    const { assetId } = await stage.resolve({ type: "data", data });
    stage.clock.advance(unreferencedInputMs - 1);
    expect(await stage.resolve({ type: "data", data })).toMatchObject({ assetId });
    const { expireTime } = await stage.assets.get(assetId, owner, never);
    expect(expireTime.getTime() - stage.clock.now().getTime()).toBe(unreferencedInputMs);
    expect(stage.looks).toBe(1);
  });

  it("is looked at once, but its PNG is made anew for another tenant", async () => {
    await using stage = await openStage();
    const png = await makePng();
    const gif = await sharp(png).gif().toBuffer();
    await stage.resolve({ type: "data", data: png });
    await stage.resolve({ type: "data", data: png }, "b");
    expect(stage.looks).toBe(1);
    const { assetId } = await stage.resolve({ type: "data", data: gif });
    await stage.resolve({ type: "data", data: gif }, "b");
    expect(stage.looks).toBe(3);
    expect(await stage.assets.get(assetId, { tenant: "b" }, never)).toMatchObject({ id: assetId });
  });

  it.each([
    ["is not there", { type: "asset", assetId: "a".repeat(64) }, "ASSET_NOT_FOUND"],
    ["is empty", { type: "data", data: new Uint8Array() }, "INPUT_REJECTED"],
    ["is no image", { type: "data", data: Buffer.from("%PDF-1.7") }, "INPUT_REJECTED"],
    [
      "is to be fetched by a server that does not",
      { type: "url", url: "https://x.example/a" },
      "INVALID_FIELD",
    ],
  ] as const)("that %s is refused with its field", async (_what, source, reason) => {
    await using stage = await openStage();
    await expect(stage.resolve(source)).rejects.toMatchObject({
      reason,
      message: expect.stringMatching(/^spec\.image_to_image\.image: /),
      details: { violations: [{ field, description: expect.stringMatching(/^(?!spec)/) }] },
    });
  });

  it("by its URL is fetched, and becomes an asset like any other", async () => {
    const png = await makePng(30, 20);
    const asked: string[] = [];
    const fetcher = {
      fetch: (url: string) => {
        asked.push(url);
        return inPieces(png);
      },
    };
    await using stage = await openStage(fetcher);
    const input = await stage.resolve({ type: "url", url: "https://x.example/a" });
    expect(input).toMatchObject({ assetId: sha256Of(png), widthPx: 30, heightPx: 20 });
    expect(asked).toEqual(["https://x.example/a"]);
  });

  it.each([
    [new ServiceError("INPUT_UNREACHABLE", "gone"), "INPUT_UNREACHABLE", []],
    [new ServiceError("INVALID_FIELD", "no URL"), "INVALID_FIELD", []],
    [undefined, "ASSET_TOO_LARGE", [Buffer.alloc(500_000), Buffer.alloc(500_000)]],
    [undefined, "INPUT_REJECTED", [Buffer.from("<html>not found</html>")]],
  ])("by a URL that is of no use is refused with its field (%s, %s)", async (error, reason, pieces) => {
    let isLeft = false;
    const fetcher = {
      async *fetch() {
        try {
          yield* pieces;
          if (error) throw error;
        } finally {
          isLeft = true;
        }
      },
    };
    await using stage = await openStage(fetcher);
    await expect(stage.resolve({ type: "url", url: "https://x.example/a" })).rejects.toMatchObject({
      reason,
      details: { violations: [{ field }] },
    });
    expect(isLeft).toBe(true);
    expect(await stage.blobFiles()).toEqual([]);
  });

  it("that is damaged or has too many pixels is refused by its limits", async () => {
    await using stage = await openStage();
    const png = await makeLargePng(50_000);
    await expect(stage.resolve({ type: "data", data: png.subarray(0, 40_000) })).rejects.toMatchObject({
      reason: "INPUT_REJECTED",
    });
    await expect(stage.resolve({ type: "data", data: await makePng(2_000, 1_000) })).rejects.toMatchObject({
      reason: "INPUT_REJECTED",
      details: { metadata: { max_pixels: "1000000" }, violations: [{ field }] },
    });
    await expect(stage.resolve({ type: "data", data: await makeLargePng(1_000_000) })).rejects.toMatchObject({
      reason: "ASSET_TOO_LARGE",
      details: { metadata: { limit_bytes: "900000" }, violations: [{ field }] },
    });
  });

  it("that a job has made is refused too if it is too large to be looked at", async () => {
    await using stage = await openStage();
    const createTime = stage.clock.now();
    const rest = { tenant: "", mediaType: "image/png", fileName: "", createTime };
    const expireTime = new Date(createTime.getTime() + 3_600_000);
    const png = await makePng(2_000, 1_000);
    await using blob = await stage.blobs.stage(inPieces(png), png.length, never);
    await blob.commit(never);
    await stage.store.put({ id: blob.sha256, sizeBytes: png.length, ...rest, expireTime }, never);
    await expect(stage.resolve({ type: "asset", assetId: blob.sha256 })).rejects.toMatchObject({
      reason: "INPUT_REJECTED",
      details: { metadata: { width_px: "2000", max_pixels: "1000000" }, violations: [{ field }] },
    });
    const id = "c".repeat(64);
    await stage.store.put({ id, sizeBytes: 4_000_001, ...rest, expireTime }, never);
    await expect(stage.resolve({ type: "asset", assetId: id })).rejects.toMatchObject({
      reason: "ASSET_TOO_LARGE",
      details: { metadata: { limit_bytes: "4000000" }, violations: [{ field }] },
    });
  });

  it("is no asset that is something else, nor another tenant's", async () => {
    await using stage = await openStage();
    const id = "b".repeat(64);
    const facts = { sizeBytes: 9, widthPx: 0, heightPx: 0, fileName: "", createTime: stage.clock.now() };
    const expireTime = new Date(stage.clock.now().getTime() + 3_600_000_000);
    await stage.store.put({ id, tenant: "", mediaType: "video/mp4", ...facts, expireTime }, never);
    await expect(stage.resolve({ type: "asset", assetId: id })).rejects.toMatchObject({
      reason: "INPUT_REJECTED",
    });
    await expect(stage.resolve({ type: "asset", assetId: id }, "b")).rejects.toMatchObject({
      reason: "ASSET_NOT_FOUND",
    });
  });
});

async function openStage(fetcher?: UrlFetcher) {
  const fixture = await openAssets({ maxUploadBytes: 900_000 });
  const { assets: assetService, store: assets, blobs, clock } = fixture;
  const stage = { looks: 0 };
  const codec = {
    toInput: (data: Uint8Array, limits: InspectLimits) => {
      stage.looks++;
      return sharpImageCodec.toInput(data, limits);
    },
  };
  const inputs = new InputImages(
    { maxPixels: 1_000_000 },
    { assetService, assets, blobs, codec, clock, ...(fetcher && { fetcher }) },
  );
  return Object.assign(stage, fixture, {
    resolve: (source: Parameters<InputImages["resolve"]>[0], tenant = "") =>
      inputs.resolve(source, field, tenant, never),
  });
}
