import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { sql } from "kysely";
import { describe, expect, it } from "vitest";
import {
  describeAssetStore,
  hoursFromNow,
  type OpenAssetStore,
  testAsset,
} from "../../../test/contract/asset-store.ts";
import { hasPostgres, startTestPostgres } from "../../../test/support/postgres.ts";
import { systemClock } from "../../lib/clock.ts";
import { createLogger } from "../../telemetry/logger.ts";
import { AssetSweeper } from "./asset-sweep.ts";
import { openPostgresAccess } from "./postgres/open-postgres.ts";
import type { SqlAccess } from "./sql-access.ts";
import { createSqlAssetStore } from "./sql-asset-store.ts";
import { openSqliteAccess } from "./sqlite/open-sqlite.ts";

const never = new AbortController().signal;
const deps = { clock: systemClock, logger: createLogger({ level: "silent" }) };

describeAssetStore("SQLite", async () => {
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(path.join(tmpdir(), "comfyrpc-assets-"));
  stack.defer(() => rm(directory, { recursive: true }));
  return openStore(stack.use(await openSqliteAccess(directory, deps)), stack.move());
});

describe("AssetSweeper", () => {
  it("comes round to all that is due, however much of it is in use", async () => {
    await using stack = new AsyncDisposableStack();
    const directory = await mkdtemp(path.join(tmpdir(), "comfyrpc-assets-"));
    stack.defer(() => rm(directory, { recursive: true }));
    const access = stack.use(await openSqliteAccess(directory, deps));
    const assets = createSqlAssetStore(access, deps);
    const expireTime = hoursFromNow(1);
    const free = new Set<string>();
    for (let i = 0; i < 40; i++) {
      // Many of the same time, and some of others.
      const asset = testAsset({ expireTime: i % 3 ? expireTime : hoursFromNow(i) });
      await assets.put(asset, never);
      if (i % 4) {
        stack.use(await makeJobWithAsset(access, "a", asset.id));
      } else {
        free.add(asset.id);
      }
    }
    const sweeper = new AssetSweeper(access, deps.logger, 5);
    const remove = async (sha256: string) => void expect(free.delete(sha256)).toBe(true);
    const sums = { assets: 0, blobs: 0 };
    for (let sweeps = 0; sweeps < 30; sweeps++) {
      const swept = await sweeper.sweep(hoursFromNow(50), 2, remove, never);
      sums.assets += swept.assets;
      sums.blobs += swept.blobs;
    }
    expect(sums).toEqual({ assets: 10, blobs: 10 });
    expect(free.size).toBe(0);
  });
});

describe.skipIf(!hasPostgres)("PostgreSQL", () => {
  describeAssetStore("PostgreSQL", async () => {
    await using stack = new AsyncDisposableStack();
    const { url } = stack.use(await startTestPostgres());
    return openStore(stack.use(await openPostgresAccess(url, deps, never)), stack.move());
  });

  it("makes one signing key for replicas that ask at the same moment", async () => {
    await using replicas = await openReplicas();
    const [x, y] = await Promise.all([replicas.a.signingKey(never), replicas.b.signingKey(never)]);
    expect(x).toEqual(y);
  });

  it("lets who pins bytes wait until they are removed", async () => {
    await using replicas = await openReplicas();
    const { id } = testAsset();
    await replicas.a.pinBlob(id, never);
    const order: string[] = [];
    const removing = Promise.withResolvers<void>();
    const removed = Promise.withResolvers<void>();
    const sweeping = replicas.a.sweep(
      hoursFromNow(2),
      10,
      async () => {
        removing.resolve();
        await removed.promise;
        order.push("removed");
      },
      never,
    );
    await removing.promise;
    const pinning = replicas.b.pinBlob(id, never).then(() => order.push("pinned"));
    await replicas.untilSomebodyWaits();
    removed.resolve();
    expect(await sweeping).toEqual({ assets: 0, blobs: 1 });
    await pinning;
    expect(order).toEqual(["removed", "pinned"]);
    expect(await replicas.a.sweep(hoursFromNow(0.9), 10, fail, never)).toEqual({ assets: 0, blobs: 0 });
  });

  it("looks again whether an asset has the bytes that it is about to remove", async () => {
    await using replicas = await openReplicas();
    const asset = testAsset({ expireTime: hoursFromNow(1) });
    const pinned = testAsset();
    await replicas.a.pinBlob(pinned.id, never);
    await replicas.a.pinBlob(asset.id, never);
    await replicas.age([pinned.id]); // so that it comes first
    const removed: string[] = [];
    const putMeanwhile = async (sha256: string) => {
      removed.push(sha256);
      await replicas.b.put(asset, never);
    };
    expect(await replicas.a.sweep(hoursFromNow(3), 10, putMeanwhile, never)).toEqual({ assets: 0, blobs: 1 });
    expect(removed).toEqual([pinned.id]);
  });

  it("leaves an asset alone that somebody is about to refer to", async () => {
    await using replicas = await openReplicas();
    const asset = testAsset({ expireTime: hoursFromNow(1) });
    await replicas.a.put(asset, never);
    await replicas.access.transact(async (db) => {
      const held = db.selectFrom("assets").select("id").where("id", "=", asset.id);
      await replicas.access.dialect.lock(held, "share").execute();
      expect(await replicas.b.sweep(hoursFromNow(2), 10, fail, never)).toEqual({ assets: 0, blobs: 0 });
    }, never);
  });

  it("never removes bytes that are being pinned and put, at whichever replica", async () => {
    await using replicas = await openReplicas();
    const bytes = new Set<string>(); // stands for the blob store
    const remove = async (sha256: string) => {
      await pause(Math.random() * 3);
      bytes.delete(sha256);
    };
    for (let round = 0; round < 30; round++) {
      // Left over: bytes that were pinned long ago, without an asset or with one whose time has come.
      const left = Array.from({ length: 6 }, () => testAsset({ expireTime: hoursFromNow(-1) }));
      for (const [i, asset] of left.entries()) {
        bytes.add(asset.id);
        await (i % 2 ? replicas.a.pinBlob(asset.id, never) : replicas.a.put(asset, never));
      }
      await replicas.age(left.map(({ id }) => id));

      const uploads = left.map(async (asset, i) => {
        await pause(Math.random() * 8);
        const replica = i % 3 ? replicas.a : replicas.b;
        await replica.pinBlob(asset.id, never);
        bytes.add(asset.id);
        await pause(Math.random() * 3);
        await replica.put({ ...asset, expireTime: hoursFromNow(24) }, never);
        expect(bytes.has(asset.id)).toBe(true);
      });
      const sweeps = [replicas.a, replicas.b, replicas.a].map((replica) =>
        replica.sweep(new Date(), 10, remove, never),
      );
      await Promise.all([...uploads, ...sweeps]);
      for (const { id } of left) {
        expect(bytes.has(id)).toBe(true);
        expect(await replicas.a.get("a", id, never)).toMatchObject({ id });
      }
      expect(await replicas.b.sweep(hoursFromNow(23), 100, fail, never)).toEqual({ assets: 0, blobs: 0 });
    }
  });
});

async function fail(): Promise<void> {
  throw new Error("nothing is to be removed");
}

function openStore(access: SqlAccess, stack: AsyncDisposableStack): OpenAssetStore {
  return {
    assets: createSqlAssetStore(access, deps),
    referTo: (tenant, assetId) => makeJobWithAsset(access, tenant, assetId),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** Two handles on one PostgreSQL database, as two replicas have them. */
async function openReplicas() {
  await using stack = new AsyncDisposableStack();
  const { url } = stack.use(await startTestPostgres());
  const access = stack.use(await openPostgresAccess(url, deps, never));
  const other = stack.use(await openPostgresAccess(url, deps, never));
  const open = stack.move();
  return {
    access,
    a: createSqlAssetStore(access, deps),
    b: createSqlAssetStore(other, deps),
    /** Makes it so that these blobs were pinned two hours ago. */
    age: (ids: readonly string[]) =>
      access.transact(async (db) => {
        const pinned_time = hoursFromNow(-2).getTime();
        await db.updateTable("blobs").set({ pinned_time }).where("sha256", "in", ids).execute();
      }, never),
    untilSomebodyWaits: () =>
      expect
        .poll(async () => {
          const waiting = sql`select from pg_locks where not granted`;
          return (await access.read((db) => waiting.execute(db), never)).rows.length;
        })
        .toBeGreaterThan(0),
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  };
}

async function makeJobWithAsset(
  { transact }: SqlAccess,
  tenant: string,
  asset_id: string,
): Promise<AsyncDisposable> {
  const id = randomUUID();
  await transact(async (db) => {
    await db
      .insertInto("jobs")
      .values({
        ...{ id, tenant, batch_index: 0, reuse_key: "", retention_ms: 0, create_time: 0, state: "running" },
        ...{ last_sequence: 1, queue_deadline: 0, images_json: "[]", attached_count: 0 },
      })
      .execute();
    await db.insertInto("job_assets").values({ job_id: id, tenant, asset_id }).execute();
  }, never);
  return {
    async [Symbol.asyncDispose]() {
      await transact((db) => db.deleteFrom("jobs").where("id", "=", id).execute(), never);
    },
  };
}
