import { sql } from "kysely";
import type { SqlDialect } from "../sql-dialect.ts";

/** Any number, as long as it is the same in all versions of this program. */
const migrationLock = 7_311_062_054;

/** PostgreSQL, used by any number of processes. */
export const postgresDialect: SqlDialect = {
  types: {
    key: sql`text collate "C"`,
    text: sql`text`,
    int: sql`bigint`,
    tableOptions: sql``,
  },
  // Not now(), which stands still within a transaction: it may have waited long for a lock.
  nowMs: () => sql<number>`(extract(epoch from clock_timestamp()) * 1000)::bigint`,
  lock(query, mode) {
    switch (mode) {
      case "update":
        return query.forUpdate();
      case "update skip locked":
        return query.forUpdate().skipLocked();
      case "share":
        return query.forShare();
    }
  },
  async lockMigrations(transaction) {
    // Another replica may be at it for long, and so may this one.
    await sql`set local statement_timeout = 0`.execute(transaction);
    await sql`select pg_advisory_xact_lock(${sql.lit(migrationLock)})`.execute(transaction);
  },
  async hasTable(db, name) {
    const { rows } = await sql<{ found: boolean }>`
      select to_regclass(${name}) is not null as found
    `.execute(db);
    return rows[0]?.found === true;
  },
};
