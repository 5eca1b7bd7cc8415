import { sql } from "kysely";
import type { Clock } from "../../../lib/clock.ts";
import type { SqlDialect } from "../sql-dialect.ts";

/**
 * SQLite, used by one process over one connection: transactions follow each other, so that there is nothing to lock and
 * nobody else's clock to agree with.
 */
export function createSqliteDialect(clock: Clock): SqlDialect {
  return {
    types: {
      key: sql`text`,
      text: sql`text`,
      int: sql`integer`,
      tableOptions: sql`strict`,
    },
    nowMs: () => sql<number>`${clock.now().getTime()}`,
    lock: (query) => query,
    lockMigrations: async () => {},
    async hasTable(db, name) {
      const { rows } = await sql`select 1 from sqlite_schema where type = 'table' and name = ${name}`.execute(
        db,
      );
      return rows.length > 0;
    },
  };
}
