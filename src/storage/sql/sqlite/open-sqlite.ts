import { mkdir } from "node:fs/promises";
import path from "node:path";
import { setImmediate } from "node:timers/promises";
import { Kysely, SqliteDialect, sql } from "kysely";
import type { DatabaseDeps } from "../database-deps.ts";
import { DatabaseStartError, DirectoryInUseError } from "../database-failure.ts";
import { migrate } from "../migrate.ts";
import type { Migration } from "../migrations/migration.ts";
import type { Tables } from "../schema.ts";
import { createSqlAccess, type SqlAccess } from "../sql-access.ts";
import { createSqlDatabase, type SqlDatabase } from "../sql-database.ts";
import { createGroupCommit } from "./group-commit.ts";
import {
  isSqliteError,
  openSqliteConnection,
  type SqliteConnection,
  sqliteBusy,
} from "./sqlite-connection.ts";
import { createSqliteDialect } from "./sqlite-dialect.ts";

/**
 * Opens the database in `directory`, or makes both. Only one process can have it; it is free again as soon as that has
 * ended, however it did. What is committed is on the disk.
 *
 * @throws DirectoryInUseError if another process has it, or this one already
 * @throws DatabaseStartError if it cannot be opened for another reason
 */
export async function openSqliteDatabase(directory: string, deps: DatabaseDeps): Promise<SqlDatabase> {
  await using stack = new AsyncDisposableStack();
  const access = stack.use(await openSqliteAccess(directory, deps));
  const database = stack.use(createSqlDatabase(access, deps));
  stack.move();
  return database;
}

/** Opens it without the stores. `migrations`: what to bring it up to date with; default: all there are. */
export async function openSqliteAccess(
  directory: string,
  { clock }: DatabaseDeps,
  { migrations }: { readonly migrations?: readonly Migration[] } = {},
): Promise<SqlAccess> {
  await using stack = new AsyncDisposableStack();
  await makeDirectory(directory);
  const connection = openExclusively(directory);
  stack.defer(() => connection.close()); // kysely closes only what it has used
  const kysely = new Kysely<Tables>({ dialect: new SqliteDialect({ database: connection }) });
  const access = stack.use(
    createSqlAccess(kysely, createSqliteDialect(clock), {
      // SQLite answers without any I/O of the event loop: who reads again and again would let nobody else do anything.
      read: (work) => setImmediate().then(() => work(kysely)),
      transact: createGroupCommit(kysely),
    }),
  );
  try {
    const where = `the database in ${directory}`;
    await migrate(access, { where, clock, ...(migrations && { migrations }) }, never);
    await voidClaimsOfOthers(access);
  } catch (error) {
    throw toStartError(error, directory);
  }
  stack.move();
  return access;
}

/** Nothing here waits for anybody. */
const never = new AbortController().signal;

async function makeDirectory(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 }); // it holds prompts
  } catch (error) {
    throw new DatabaseStartError(
      `cannot make the directory ${directory}: ${error instanceof Error ? error.message : error}; ` +
        "choose one that can be written to (COMFYRPC_DATA_DIR)",
      { cause: error },
    );
  }
}

function openExclusively(directory: string): SqliteConnection {
  using stack = new DisposableStack();
  try {
    const connection = openSqliteConnection(path.join(directory, "comfyrpc.sqlite3"));
    stack.defer(() => connection.close());
    // Exclusive mode comes first: then WAL is opened without shared memory, and the lock, once taken, is kept. The
    // operating system drops it with the process.
    connection.execute(`
      pragma locking_mode = exclusive;
      pragma journal_mode = wal;
      pragma synchronous = full;
      pragma cache_size = -16000;
      pragma journal_size_limit = 67108864;
      begin exclusive;
      commit;
    `);
    stack.move();
    return connection;
  } catch (error) {
    throw toStartError(error, directory);
  }
}

function toStartError(error: unknown, directory: string): unknown {
  let cause = error;
  while (cause instanceof Error && !isSqliteError(cause)) {
    cause = cause.cause;
  }
  if (!isSqliteError(cause)) {
    return error;
  }
  return (cause.errcode & 0xff) === sqliteBusy
    ? new DirectoryInUseError(directory, { cause })
    : new DatabaseStartError(`cannot use the database in ${directory}: ${cause.message}`, { cause });
}

/** Whoever held a lease of a backend, or waited for a job, did so in a process that is gone. */
async function voidClaimsOfOthers({ transact, dialect }: SqlAccess): Promise<void> {
  await transact(async (db) => {
    await db
      .updateTable("leases")
      .set({ owner: null, driven_until: sql`min(driven_until, ${dialect.nowMs()})` })
      .execute();
    await db.updateTable("jobs").set({ attached_count: 0 }).where("attached_count", ">", 0).execute();
  }, never);
}
