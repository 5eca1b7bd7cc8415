import { sql } from "kysely";
import type { Lease } from "../../job-store.ts";
import type { Db } from "../schema.ts";
import type { SqlDialect } from "../sql-dialect.ts";
import type { JobContext } from "../stored-jobs.ts";

/** `JobStore.acquireLease` */
export async function acquireLease(
  { access: { transact, dialect } }: JobContext,
  backend: string,
  owner: string,
  ttlMs: number,
  signal: AbortSignal,
): Promise<Lease | undefined> {
  const nowMs = dialect.nowMs();
  const row = await transact(
    (db) =>
      db
        .insertInto("leases")
        .values({ backend, owner, token: 1, driven_until: sql`${nowMs} + ${sql.lit(ttlMs)}` })
        .onConflict((conflict) =>
          conflict
            .column("backend")
            .doUpdateSet((eb) => ({
              owner: eb.ref("excluded.owner"),
              token: eb("leases.token", "+", 1),
              driven_until: eb.ref("excluded.driven_until"),
            }))
            .where((eb) => eb.or([eb("leases.owner", "is", null), eb("leases.driven_until", "<=", nowMs)])),
        )
        .returning("token")
        .executeTakeFirst(),
    signal,
  );
  return row && { backend, owner, token: row.token };
}

/** `JobStore.renewLease` */
export async function renewLease(
  { access: { transact, dialect } }: JobContext,
  { backend, owner, token }: Lease,
  ttlMs: number,
  signal: AbortSignal,
): Promise<boolean> {
  const renewed = await transact(
    (db) =>
      db
        .updateTable("leases")
        .set({ driven_until: sql`${dialect.nowMs()} + ${sql.lit(ttlMs)}` })
        .where("backend", "=", backend)
        .where("owner", "=", owner)
        .where("token", "=", token)
        .returning("token")
        .executeTakeFirst(),
    signal,
  );
  return renewed !== undefined;
}

/** `JobStore.releaseLease` */
export async function releaseLease(
  { access: { transact, dialect } }: JobContext,
  { backend, owner, token }: Lease,
  signal: AbortSignal,
): Promise<void> {
  const nowMs = dialect.nowMs();
  await transact(
    (db) =>
      db
        .updateTable("leases")
        .set({
          owner: null,
          // One that had run out was not held until now.
          driven_until: sql`case when driven_until < ${nowMs} then driven_until else ${nowMs} end`,
        })
        .where("backend", "=", backend)
        .where("owner", "=", owner)
        .where("token", "=", token)
        .execute(),
    signal,
  );
}

/**
 * Whether `lease` is the one of its backend. If so, nobody can take it until the transaction ends: taking it changes the
 * row, which is held for sharing here (so that several claims may go on at once). Who takes it after that finds what this
 * transaction did; and if somebody is taking it right now, this waits for that and then finds another token.
 */
export async function holdLease(
  dialect: SqlDialect,
  db: Db,
  { backend, owner, token }: Lease,
  { mustBeFresh }: { readonly mustBeFresh: boolean },
): Promise<boolean> {
  const row = await db
    .selectFrom("leases")
    .select("token")
    .where("backend", "=", backend)
    .where("owner", "=", owner)
    .where("token", "=", token)
    .$if(mustBeFresh, (query) => query.where("driven_until", ">", dialect.nowMs()))
    .$call((query) => dialect.lock(query, "share"))
    .executeTakeFirst();
  return row !== undefined;
}
