import { type ExpressionBuilder, sql } from "kysely";
import type { Logger } from "../../telemetry/logger.ts";
import type { AssetStore } from "../asset-store.ts";
import { later, pinLifetimeMs } from "./pins.ts";
import type { Db, Tables } from "./schema.ts";
import type { SqlAccess } from "./sql-access.ts";

type Sweep = AssetStore["sweep"];
type RemoveBytes = Parameters<Sweep>[2];

/**
 * Longest time for the removal of one blob, in milliseconds. The database takes the lock away from who is silent for
 * longer, see `idle_in_transaction_session_timeout`, and bytes must never be removed without it.
 */
const removalTimeoutMs = 10_000;

/** Before all times. */
const start = Number.MIN_SAFE_INTEGER;

/**
 * Removes what nobody needs any more. What keeps it from removing what somebody is about to use, at whichever replica:
 *
 * - An asset is locked, and only then it is looked whether a job refers to it, by a statement of its own that sees all
 *   that was committed until the lock was had. Who makes a reference to an asset that may be due takes its lock first.
 * - A blob is locked, and only then it is looked whether an asset has it. Who puts an asset takes the lock of the blob
 *   first, and so does who pins it. The bytes are removed before the lock is given back, so that who waits for it begins
 *   anew: with a new row, and the bytes after that.
 *
 * Most of what is due by its time may be in use all the same, for as long as jobs are kept. So each sweep looks at a part
 * of it only, and the next one goes on from there.
 */
export class AssetSweeper {
  readonly #access: SqlAccess;
  readonly #logger: Logger;
  readonly #maxLookedAt: number;
  /** What has a later time has not been looked at in this round. */
  #assetsAfter = start;
  #blobsAfter = start;

  /** @param maxLookedAt most assets, and most blobs, whose time has come that one sweep looks at */
  constructor(access: SqlAccess, logger: Logger, maxLookedAt = 5_000) {
    this.#access = access;
    this.#logger = logger;
    this.#maxLookedAt = maxLookedAt;
  }

  /** {@link AssetStore.sweep} */
  async sweep(...[now, limit, removeBytes, signal]: Parameters<Sweep>): ReturnType<Sweep> {
    const removed = await this.#removeAssets(await this.#findAssets(now, limit, signal), now, signal);
    const found = await this.#findBlobs(now, limit, signal);
    // The blobs of these assets may have been passed over in this round, as they were in use.
    const blobs = [...new Set([...removed, ...found])].slice(0, limit);
    return { assets: removed.length, blobs: await this.#removeBlobs(blobs, now, removeBytes, signal) };
  }

  async #findAssets(now: Date, limit: number, signal: AbortSignal): Promise<readonly AssetKey[]> {
    const after = this.#assetsAfter;
    const { free, last } = await this.#access.read(async (db) => {
      const due = db
        .selectFrom("assets")
        .where("expire_time", ">", after)
        .where("expire_time", "<=", now.getTime())
        .orderBy("expire_time");
      const last = await due
        .select("expire_time as time")
        .offset(this.#maxLookedAt - 1)
        .limit(1)
        .executeTakeFirst();
      const free = await due
        .select(["tenant", "id", "expire_time as time"])
        .where("expire_time", "<=", last?.time ?? now.getTime())
        .where(isUnreferenced)
        .limit(limit)
        .execute();
      return { free, last };
    }, signal);
    this.#assetsAfter = nextPlace(free, limit, last);
    return free;
  }

  /** Removes those that are still not needed. Returns their ids. */
  async #removeAssets(
    assets: readonly AssetKey[],
    now: Date,
    signal: AbortSignal,
  ): Promise<readonly string[]> {
    if (assets.length === 0) {
      return [];
    }
    const { transact, dialect } = this.#access;
    return await transact(async (db) => {
      const due = db
        .selectFrom("assets")
        .select(["tenant", "id"])
        .where(isOneOf(assets))
        .where("expire_time", "<=", now.getTime());
      const held = await dialect.lock(due, "update skip locked").execute();
      if (held.length === 0) {
        return [];
      }
      const removed = await db
        .deleteFrom("assets")
        .where(isOneOf(held))
        .where(isUnreferenced)
        .returning("id")
        .execute();
      return removed.map(({ id }) => id);
    }, signal);
  }

  async #findBlobs(now: Date, limit: number, signal: AbortSignal): Promise<readonly string[]> {
    const after = this.#blobsAfter;
    const until = now.getTime() - pinLifetimeMs;
    const { free, last } = await this.#access.read(async (db) => {
      const due = db
        .selectFrom("blobs")
        .where("pinned_time", ">", after)
        .where("pinned_time", "<=", until)
        .orderBy("pinned_time");
      const last = await due
        .select("pinned_time as time")
        .offset(this.#maxLookedAt - 1)
        .limit(1)
        .executeTakeFirst();
      const free = await due
        .select(["sha256", "pinned_time as time"])
        .where("pinned_time", "<=", last?.time ?? until)
        .where(({ not, exists, selectFrom }) =>
          not(exists(selectFrom("assets").select("id").whereRef("assets.id", "=", "blobs.sha256"))),
        )
        .limit(limit)
        .execute();
      return { free, last };
    }, signal);
    this.#blobsAfter = nextPlace(free, limit, last);
    return free.map(({ sha256 }) => sha256);
  }

  /**
   * Removes those that are still not needed, each in a transaction of its own, so that few are kept waiting. Returns how
   * many. Ends early if the bytes of one cannot be removed: those of others hardly can.
   */
  async #removeBlobs(
    blobs: readonly string[],
    now: Date,
    removeBytes: RemoveBytes,
    signal: AbortSignal,
  ): Promise<number> {
    let removed = 0;
    for (const sha256 of blobs) {
      const outcome = await this.#removeBlob(sha256, now, removeBytes, signal);
      removed += outcome === "removed" ? 1 : 0;
      if (outcome === "failed") {
        break;
      }
    }
    return removed;
  }

  async #removeBlob(
    sha256: string,
    now: Date,
    removeBytes: RemoveBytes,
    signal: AbortSignal,
  ): Promise<"removed" | "needed" | "failed"> {
    const { transact, dialect } = this.#access;
    return await transact(async (db) => {
      const due = db
        .selectFrom("blobs")
        .select("sha256")
        .where("sha256", "=", sha256)
        .where("pinned_time", "<=", now.getTime() - pinLifetimeMs);
      const held = await dialect.lock(due, "update skip locked").executeTakeFirst();
      if (!held || (await hasAsset(db, sha256))) {
        return "needed";
      }
      try {
        await removeBytes(sha256, AbortSignal.any([signal, AbortSignal.timeout(removalTimeoutMs)]));
      } catch (error) {
        signal.throwIfAborted();
        this.#logger.warn({ err: error, sha256 }, "cannot remove the bytes of a blob; trying again later");
        const at = later(sql.ref("pinned_time"), dialect.nowMs()); // others come first
        await db.updateTable("blobs").set({ pinned_time: at }).where("sha256", "=", sha256).execute();
        return "failed";
      }
      await db.deleteFrom("blobs").where("sha256", "=", sha256).execute();
      return "removed";
    }, signal);
  }
}

interface AssetKey {
  readonly tenant: string;
  readonly id: string;
}

interface Timed {
  readonly time: number;
}

/**
 * Where the next sweep begins.
 *
 * @param free what was found, in the order of time
 * @param last the last that was looked at, if there are more
 */
function nextPlace(free: readonly Timed[], limit: number, last: Timed | undefined): number {
  const lastFree = free.at(-1);
  if (lastFree && free.length >= limit) {
    return lastFree.time - 1; // there may be more of that very time
  }
  return last?.time ?? start;
}

function isOneOf(assets: readonly AssetKey[]) {
  const keys = sql.join(assets.map(({ tenant, id }) => sql`(${tenant}, ${id})`));
  return sql<boolean>`(assets.tenant, assets.id) in (values ${keys})`;
}

/** Whether no job refers to an asset. */
export function isUnreferenced({ not, exists, selectFrom }: ExpressionBuilder<Tables, "assets">) {
  return not(
    exists(
      selectFrom("job_assets")
        .select("job_id")
        .whereRef("job_assets.tenant", "=", "assets.tenant")
        .whereRef("job_assets.asset_id", "=", "assets.id"),
    ),
  );
}

async function hasAsset(db: Db, sha256: string): Promise<boolean> {
  const asset = await db
    .selectFrom("assets")
    .select("id")
    .where("id", "=", sha256)
    .limit(1)
    .executeTakeFirst();
  return asset !== undefined;
}
