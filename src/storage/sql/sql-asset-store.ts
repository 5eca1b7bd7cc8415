import { randomBytes } from "node:crypto";
import { type Expression, sql } from "kysely";
import type { AssetRecord, AssetStore } from "../asset-store.ts";
import { readAssetRow, writeAssetRow } from "./asset-row.ts";
import { AssetSweeper, isUnreferenced } from "./asset-sweep.ts";
import type { DatabaseDeps } from "./database-deps.ts";
import { later, pin, pinLifetimeMs } from "./pins.ts";
import type { Db } from "./schema.ts";
import type { SqlAccess } from "./sql-access.ts";

/** Makes the part of a database that keeps assets. It lives as long as `access`. */
export function createSqlAssetStore(access: SqlAccess, { logger }: Pick<DatabaseDeps, "logger">): AssetStore {
  const { read, transact, dialect } = access;
  const sweeper = new AssetSweeper(access, logger);
  return {
    pinBlob: (sha256, signal) => transact((db) => pin(db, sha256, dialect.nowMs()), signal),

    put: (asset, signal) =>
      transact(async (db) => {
        // The blob comes first: see asset-sweep.ts. It need not be looked at again before the asset's time has come.
        const due = sql<number>`${asset.expireTime.getTime() - pinLifetimeMs}`;
        await pin(db, asset.id, later(dialect.nowMs(), due));
        return await putAsset(db, asset);
      }, signal),

    get: (tenant, id, signal) => read((db) => getAsset(db, tenant, id, dialect.nowMs()), signal),

    sweep: (now, limit, removeBytes, signal) => sweeper.sweep(now, limit, removeBytes, signal),

    signingKey: async (signal) =>
      (await read(readSigningKey, signal)) ?? (await transact(makeSigningKey, signal)),
  };
}

async function putAsset(db: Db, asset: AssetRecord): Promise<AssetRecord> {
  const row = await db
    .insertInto("assets")
    .values(writeAssetRow(asset))
    .onConflict((conflict) =>
      conflict.columns(["tenant", "id"]).doUpdateSet({
        expire_time: (eb) => later(eb.ref("assets.expire_time"), eb.ref("excluded.expire_time")),
      }),
    )
    .returningAll()
    .executeTakeFirstOrThrow();
  return readAssetRow(row);
}

async function getAsset(
  db: Db,
  tenant: string,
  id: string,
  nowMs: Expression<number>,
): Promise<AssetRecord | undefined> {
  const row = await db
    .selectFrom("assets")
    .selectAll()
    .where("tenant", "=", tenant)
    .where("id", "=", id)
    // What is only waiting to be swept is gone already.
    .where((eb) => eb.or([eb("expire_time", ">", nowMs), eb.not(isUnreferenced(eb))]))
    .executeTakeFirst();
  return row && readAssetRow(row);
}

const signingKeyName = "asset-links";

async function readSigningKey(db: Db): Promise<Uint8Array | undefined> {
  const row = await db
    .selectFrom("secrets")
    .select("value")
    .where("name", "=", signingKeyName)
    .executeTakeFirst();
  return row && Uint8Array.from(Buffer.from(row.value, "base64"));
}

/** Makes the key unless another replica has done so meanwhile. */
async function makeSigningKey(db: Db): Promise<Uint8Array> {
  await db
    .insertInto("secrets")
    .values({ name: signingKeyName, value: randomBytes(32).toString("base64") })
    .onConflict((conflict) => conflict.column("name").doNothing())
    .execute();
  const key = await readSigningKey(db);
  if (!key) {
    throw new Error("the signing key is not there though it has just been made");
  }
  return key;
}
