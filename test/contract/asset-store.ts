import { createHash, randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { AssetRecord, AssetStore } from "../../src/storage/asset-store.ts";

const never = new AbortController().signal;
const hourMs = 3_600_000;

/** A store that is open, and what only its jobs can do to it. */
export interface OpenAssetStore extends AsyncDisposable {
  readonly assets: AssetStore;
  /** Makes a job that refers to an asset of its tenant; disposing of what it returns removes that job. */
  referTo(tenant: string, assetId: string): Promise<AsyncDisposable>;
}

/** What every AssetStore promises. */
export function describeAssetStore(name: string, open: () => Promise<OpenAssetStore>): void {
  describe(`${name} as an AssetStore`, () => {
    it("gives back what was put, to its tenant only", async () => {
      await using store = await open();
      const upload = testAsset({ fileName: "füchse 🦊.png" });
      const made = testAsset({
        origin: { jobId: "job", imageIndex: 3, nodeId: "save", seed: 2n ** 64n - 1n },
      });
      const {
        widthPx: _,
        heightPx: __,
        ...sound
      } = testAsset({
        mediaType: "audio/flac",
        origin: { jobId: "job", nodeId: "save" },
      });
      for (const asset of [upload, made, sound]) {
        expect(await store.assets.put(asset, never)).toEqual(asset);
        expect(await store.assets.get("a", asset.id, never)).toEqual(asset);
        expect(await store.assets.get("b", asset.id, never)).toBeUndefined();
      }
      expect(await store.assets.get("a", testAsset().id, never)).toBeUndefined();
    });

    it("keeps the first of equal assets of a tenant, until the later of their times", async () => {
      await using store = await open();
      const first = testAsset({ fileName: "first.png" });
      await store.assets.put(first, never);
      const sooner = { ...first, fileName: "second.png", expireTime: hoursFromNow(1) };
      expect(await store.assets.put(sooner, never)).toEqual(first);
      const later = { ...first, fileName: "third.png", expireTime: hoursFromNow(99) };
      const kept = { ...first, expireTime: later.expireTime };
      expect(await store.assets.put(later, never)).toEqual(kept);
      expect(await store.assets.get("a", first.id, never)).toEqual(kept);
    });

    it("keeps equal assets of different tenants apart", async () => {
      await using store = await open();
      const ofA = testAsset({ fileName: "a.png" });
      const ofB = { ...ofA, tenant: "b", fileName: "b.png" };
      await store.assets.put(ofA, never);
      expect(await store.assets.put(ofB, never)).toEqual(ofB);
      expect(await store.assets.get("a", ofA.id, never)).toEqual(ofA);
    });

    it("removes an asset when its time has come, and then its bytes", async () => {
      await using store = await open();
      const asset = testAsset({ expireTime: hoursFromNow(24) });
      await store.assets.pinBlob(asset.id, never);
      await store.assets.put(asset, never);
      const { removed, sweep } = sweeper(store.assets);
      expect(await sweep(hoursFromNow(23.9))).toEqual({ assets: 0, blobs: 0 });
      expect(await sweep(hoursFromNow(24.1))).toEqual({ assets: 1, blobs: 1 });
      expect(removed).toEqual([asset.id]);
      expect(await store.assets.get("a", asset.id, never)).toBeUndefined();
      expect(await sweep(hoursFromNow(48))).toEqual({ assets: 0, blobs: 0 });
    });

    it("keeps an asset as long as a job refers to it, whatever its time", async () => {
      await using store = await open();
      const asset = testAsset({ expireTime: hoursFromNow(1) });
      const { removed, sweep } = sweeper(store.assets);
      {
        await using _first = await store.referTo("a", asset.id); // may be there before the asset
        await store.assets.put(asset, never);
        await using _second = await store.referTo("a", asset.id);
        await _first[Symbol.asyncDispose]();
        expect(await sweep(hoursFromNow(48))).toEqual({ assets: 0, blobs: 0 });
        expect(await store.assets.get("a", asset.id, never)).toEqual(asset);
      }
      expect(await sweep(hoursFromNow(48))).toEqual({ assets: 1, blobs: 1 });
      expect(removed).toEqual([asset.id]);
    });

    it("does not show an asset whose time has come, though it has not been swept, unless a job refers to it", async () => {
      await using store = await open();
      const asset = testAsset({ expireTime: hoursFromNow(-0.1) });
      await store.assets.put(asset, never);
      expect(await store.assets.get("a", asset.id, never)).toBeUndefined();
      {
        await using _ = await store.referTo("a", asset.id);
        expect(await store.assets.get("a", asset.id, never)).toEqual(asset);
      }
      expect(await store.assets.get("a", asset.id, never)).toBeUndefined();
    });

    it("does not keep an asset for the jobs of another tenant", async () => {
      await using store = await open();
      const asset = testAsset({ expireTime: hoursFromNow(1) });
      await store.assets.put(asset, never);
      await using _ = await store.referTo("b", asset.id);
      expect(await sweeper(store.assets).sweep(hoursFromNow(2))).toEqual({ assets: 1, blobs: 1 });
    });

    it("keeps bytes as long as any tenant has them", async () => {
      await using store = await open();
      const ofA = testAsset({ expireTime: hoursFromNow(1) });
      const ofB = { ...ofA, tenant: "b", expireTime: hoursFromNow(10) };
      await store.assets.put(ofB, never);
      await store.assets.put(ofA, never);
      const { removed, sweep } = sweeper(store.assets);
      expect(await sweep(hoursFromNow(5))).toEqual({ assets: 1, blobs: 0 });
      expect(await store.assets.get("b", ofA.id, never)).toEqual(ofB);
      expect(await sweep(hoursFromNow(11))).toEqual({ assets: 1, blobs: 1 });
      expect(removed).toEqual([ofA.id]);
    });

    it("keeps bytes for an hour after they were pinned, though no asset has them", async () => {
      await using store = await open();
      const { id } = testAsset();
      await store.assets.pinBlob(id, never);
      await store.assets.pinBlob(id, never);
      const { removed, sweep } = sweeper(store.assets);
      expect(await sweep(hoursFromNow(0.9))).toEqual({ assets: 0, blobs: 0 });
      expect(await sweep(hoursFromNow(1.1))).toEqual({ assets: 0, blobs: 1 });
      expect(removed).toEqual([id]);
    });

    it("keeps an asset again that was swept and put anew", async () => {
      await using store = await open();
      const asset = testAsset({ expireTime: hoursFromNow(1) });
      const { removed, sweep } = sweeper(store.assets);
      await store.assets.put(asset, never);
      await sweep(hoursFromNow(2));
      await store.assets.pinBlob(asset.id, never);
      const again = { ...asset, fileName: "again.png", expireTime: hoursFromNow(20) };
      expect(await store.assets.put(again, never)).toEqual(again);
      expect(await sweep(hoursFromNow(19))).toEqual({ assets: 0, blobs: 0 });
      expect(await sweep(hoursFromNow(21))).toEqual({ assets: 1, blobs: 1 });
      expect(removed).toEqual([asset.id, asset.id]);
    });

    it("removes no more than it is asked to at a time, the oldest first", async () => {
      await using store = await open();
      const ids: string[] = [];
      for (let i = 1; i <= 5; i++) {
        const asset = testAsset({ expireTime: hoursFromNow(i) });
        ids.push(asset.id);
        await store.assets.put(asset, never);
      }
      const { removed, sweep } = sweeper(store.assets);
      expect(await sweep(hoursFromNow(10), 2)).toEqual({ assets: 2, blobs: 2 });
      expect(removed).toEqual(ids.slice(0, 2));
      expect(await sweep(hoursFromNow(10), 2)).toEqual({ assets: 2, blobs: 2 });
      expect(await sweep(hoursFromNow(10), 2)).toEqual({ assets: 1, blobs: 1 });
      expect(removed).toEqual(ids);
    });

    it("tries bytes again another time that cannot be removed, and goes on with others", async () => {
      await using store = await open();
      const [stuck, other] = [testAsset(), testAsset()];
      await store.assets.pinBlob(stuck.id, never);
      await store.assets.pinBlob(other.id, never);
      const removed: string[] = [];
      let failures = 0;
      const remove = async (sha256: string) => {
        if (sha256 === stuck.id && failures < 2) {
          failures++;
          throw new Error("the disk is on fire");
        }
        removed.push(sha256);
      };
      let blobs = 0;
      for (let sweeps = 0; sweeps < 4; sweeps++) {
        blobs += (await store.assets.sweep(hoursFromNow(3), 10, remove, never)).blobs;
      }
      expect(failures).toBe(2);
      expect(removed.toSorted()).toEqual([stuck.id, other.id].toSorted());
      expect(blobs).toBe(2);
    });

    it("tells removal to stop when it is told so itself, and knows the bytes then", async () => {
      await using store = await open();
      const { id } = testAsset();
      await store.assets.pinBlob(id, never);
      const controller = new AbortController();
      const told = Promise.withResolvers<unknown>();
      const sweeping = store.assets.sweep(
        hoursFromNow(2),
        10,
        (_, signal) =>
          new Promise((_resolve, reject) => {
            signal.addEventListener("abort", () => {
              told.resolve(signal.reason);
              reject(signal.reason);
            });
            controller.abort(new Error("enough"));
          }),
        controller.signal,
      );
      await expect(sweeping).rejects.toThrow("enough");
      expect(await told.promise).toBe(controller.signal.reason);
      const { removed, sweep } = sweeper(store.assets);
      await expect.poll(() => sweep(hoursFromNow(4)).then(() => removed)).toEqual([id]);
    });

    it("makes one signing key, whoever asks first", async () => {
      await using store = await open();
      const keys = await Promise.all([1, 2, 3].map(() => store.assets.signingKey(never)));
      expect(keys[0]).toHaveLength(32);
      expect(new Set(keys.map((key) => Buffer.from(key).toString("hex"))).size).toBe(1);
      expect(await store.assets.signingKey(never)).toEqual(keys[0]);
    });

    it("does nothing when it is told to stop", async () => {
      await using store = await open();
      const aborted = AbortSignal.abort(new Error("enough"));
      const asset = testAsset();
      await expect(store.assets.put(asset, aborted)).rejects.toThrow("enough");
      await expect(store.assets.pinBlob(asset.id, aborted)).rejects.toThrow("enough");
      await expect(store.assets.get("a", asset.id, aborted)).rejects.toThrow("enough");
      await expect(store.assets.signingKey(aborted)).rejects.toThrow("enough");
      expect(await store.assets.get("a", asset.id, never)).toBeUndefined();
    });
  });
}

/** An upload of random bytes by tenant `a`. */
export function testAsset(changes: Partial<AssetRecord> = {}): AssetRecord {
  return {
    id: createHash("sha256").update(randomBytes(16)).digest("hex"),
    tenant: "a",
    sizeBytes: 123_456,
    mediaType: "image/png",
    widthPx: 640,
    heightPx: 480,
    fileName: "",
    createTime: new Date(1_700_000_000_123),
    expireTime: hoursFromNow(24),
    ...changes,
  };
}

export function hoursFromNow(hours: number): Date {
  return new Date(Date.now() + hours * hourMs);
}

function sweeper(assets: AssetStore) {
  const removed: string[] = [];
  const remove = async (sha256: string) => void removed.push(sha256);
  return { removed, sweep: (now: Date, limit = 100) => assets.sweep(now, limit, remove, never) };
}
