import { Kysely, PostgresDialect } from "kysely";
import type { DatabaseDeps } from "../database-deps.ts";
import { DatabaseFailure, DatabaseStartError } from "../database-failure.ts";
import { migrate } from "../migrate.ts";
import type { Migration } from "../migrations/migration.ts";
import type { Tables } from "../schema.ts";
import { createSqlAccess, type SqlAccess } from "../sql-access.ts";
import { createSqlDatabase, type SqlDatabase } from "../sql-database.ts";
import { postgresDialect } from "./postgres-dialect.ts";
import { createPostgresPool, type PostgresPoolOptions } from "./postgres-pool.ts";

/**
 * Connects to the PostgreSQL database of `url`, and makes its tables if need be. Any number of processes can have it. It
 * may go away and come back later: what is asked for meanwhile fails with `STORE_UNAVAILABLE`.
 *
 * @throws DatabaseStartError if it cannot be used now
 */
export async function openPostgresDatabase(
  url: string,
  deps: DatabaseDeps,
  { signal = never, ...options }: PostgresPoolOptions & { readonly signal?: AbortSignal } = {},
): Promise<SqlDatabase> {
  await using stack = new AsyncDisposableStack();
  const access = stack.use(await openPostgresAccess(url, deps, signal, options));
  const database = stack.use(createSqlDatabase(access, deps));
  stack.move();
  return database;
}

const never = new AbortController().signal;

/** Opens it without the stores. `migrations`: what to bring it up to date with; default: all there are. */
export async function openPostgresAccess(
  url: string,
  { clock, logger }: DatabaseDeps,
  signal: AbortSignal,
  { migrations, ...options }: PostgresPoolOptions & { readonly migrations?: readonly Migration[] } = {},
): Promise<SqlAccess> {
  await using stack = new AsyncDisposableStack();
  const pool = createPostgresPool(readUrl(url), logger, options);
  const kysely = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) });
  const access = stack.use(createSqlAccess(kysely, postgresDialect));
  try {
    await migrate(
      access,
      { where: "the PostgreSQL database", clock, ...(migrations && { migrations }) },
      signal,
    );
  } catch (error) {
    throw toStartError(error);
  }
  stack.move();
  return access;
}

function readUrl(url: string): string {
  const { protocol } = URL.parse(url) ?? {};
  if (protocol !== "postgres:" && protocol !== "postgresql:") {
    // The text is left out: it may hold a password.
    throw new DatabaseStartError(
      "the URL of the database must be like postgres://user:password@host:5432/name",
    );
  }
  return url;
}

/** Says what the database, or the way to it, has said: neither tells the password. */
function toStartError(error: unknown): unknown {
  for (let each = error; each instanceof Error; each = each.cause) {
    if (each instanceof DatabaseFailure && each.cause instanceof Error) {
      return new DatabaseStartError(`cannot use the PostgreSQL database: ${explain(each.cause)}`, {
        cause: error,
      });
    }
  }
  return error;
}

/** Connecting to a name of several addresses fails with an AggregateError that says nothing itself. */
function explain(error: Error): string {
  const causes: readonly unknown[] = error instanceof AggregateError ? error.errors : [];
  const told = causes.map((cause) => (cause instanceof Error ? cause.message : "")).filter(Boolean);
  return error.message || told.join("; ") || "no reason given";
}
