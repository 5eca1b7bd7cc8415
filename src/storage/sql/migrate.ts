import { sql } from "kysely";
import type { Clock } from "../../lib/clock.ts";
import { NewerDatabaseError } from "./database-failure.ts";
import { jobsAndAssets } from "./migrations/jobs-and-assets.ts";
import type { Migration } from "./migrations/migration.ts";
import { outputsOfJobs } from "./migrations/outputs-of-jobs.ts";
import { templates } from "./migrations/templates.ts";
import { templatesOfJobs } from "./migrations/templates-of-jobs.ts";
import type { SqlAccess } from "./sql-access.ts";

/** All there are, in order: the first makes version 1 of the schema. */
export const migrations: readonly Migration[] = [jobsAndAssets, templates, outputsOfJobs, templatesOfJobs];

/** What a migration is run with. */
export interface MigrateOptions {
  /** Names the database, for people. */
  readonly where: string;
  readonly clock: Clock;
  /** Default: {@link migrations}. */
  readonly migrations?: readonly Migration[];
}

/**
 * Brings the schema of a database up to date. Each migration is a transaction of its own, under a lock, so that replicas
 * may start together and one that is killed leaves nothing half done.
 *
 * @throws NewerDatabaseError if the database has had migrations that this program does not know
 */
export async function migrate(
  access: SqlAccess,
  options: MigrateOptions,
  signal: AbortSignal,
): Promise<void> {
  const known = options.migrations ?? migrations;
  while ((await migrateOnce(access, known, options, signal)) < known.length) {
    // another one to go
  }
}

/** Applies the next migration, if there is one. Returns the version that the database has then. */
async function migrateOnce(
  { transact, dialect }: SqlAccess,
  known: readonly Migration[],
  { where, clock }: MigrateOptions,
  signal: AbortSignal,
): Promise<number> {
  return await transact(async (db) => {
    await dialect.lockMigrations(db);
    const { key, int, tableOptions } = dialect.types;
    // `if not exists` alone would need the right to create tables at every start.
    if (!(await dialect.hasTable(db, "schema_migrations"))) {
      await sql`create table schema_migrations (
        version ${int} primary key, name ${key} not null, apply_time ${int} not null
      ) ${tableOptions}`.execute(db);
    }
    const { version } = await db
      .selectFrom("schema_migrations")
      .select((eb) => eb.fn.coalesce(eb.fn.max("version"), sql<number>`0`).as("version"))
      .executeTakeFirstOrThrow();
    if (version > known.length) {
      throw new NewerDatabaseError(where);
    }
    const next = known[version];
    if (next === undefined) {
      return version;
    }
    for (const statement of next.statements(dialect.types)) {
      await statement.execute(db);
    }
    await db
      .insertInto("schema_migrations")
      .values({ version: version + 1, name: next.name, apply_time: clock.now().getTime() })
      .execute();
    return version + 1;
  }, signal);
}
