import { type Expression, sql } from "kysely";
import type { Db } from "./schema.ts";

/** How long bytes are kept after they were pinned though no asset has them, in milliseconds. */
export const pinLifetimeMs = 60 * 60 * 1_000;

/**
 * Writes that bytes were pinned at `time`, unless that is earlier than what is known. Waits while they are being
 * removed, and then begins anew. The row stays locked until the transaction ends.
 */
export async function pin(db: Db, sha256: string, time: Expression<number>): Promise<void> {
  await db
    .insertInto("blobs")
    .values({ sha256, pinned_time: time })
    .onConflict((conflict) =>
      conflict.column("sha256").doUpdateSet({
        pinned_time: (eb) => later(eb.ref("blobs.pinned_time"), eb.ref("excluded.pinned_time")),
      }),
    )
    .execute();
}

/** The greater one; the databases have different functions for it. */
export function later(a: Expression<number>, b: Expression<number>): Expression<number> {
  return sql<number>`case when ${a} > ${b} then ${a} else ${b} end`;
}
