import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import type { SqliteDatabase, SqliteStatement } from "kysely";
import { LRUCache } from "lru-cache";
import { DatabaseFailure } from "../database-failure.ts";

/** A `node:sqlite` database as kysely wants one. What it throws is a {@link DatabaseFailure}. */
export interface SqliteConnection extends SqliteDatabase {
  /** Runs statements that take no parameters. */
  execute(statements: string): void;
  /** May be called again. */
  close(): void;
}

/** Statements that are kept prepared. Lists of different lengths make different statements, hence the bound. */
const maxPrepared = 200;

/** Opens the file `path`, or makes it. */
export function openSqliteConnection(path: string): SqliteConnection {
  const database = attempt(() => new DatabaseSync(path, { enableForeignKeyConstraints: true, timeout: 0 }));
  const prepared = new LRUCache<string, SqliteStatement>({ max: maxPrepared });
  return {
    execute(statements) {
      attempt(() => database.exec(statements));
    },
    prepare(text) {
      if (text === "rollback" && !database.isTransaction) {
        return nothingToDo; // SQLite has rolled back by itself, as it does when the disk is full
      }
      let statement = prepared.get(text);
      if (statement === undefined) {
        statement = attempt(() => adapt(database.prepare(text)));
        prepared.set(text, statement);
      }
      return statement;
    },
    close() {
      if (database.isOpen) {
        attempt(() => database.close());
      }
    },
  };
}

function adapt(statement: StatementSync): SqliteStatement {
  return {
    reader: statement.columns().length > 0,
    all: (parameters) => attempt(() => statement.all(...parameters.map(toInput))),
    run: (parameters) => attempt(() => statement.run(...parameters.map(toInput))),
    iterate: (parameters) => statement.iterate(...parameters.map(toInput)),
  };
}

const nothingToDo: SqliteStatement = {
  reader: false,
  all: () => [],
  run: () => ({ changes: 0, lastInsertRowid: 0 }),
  iterate: () => [].values(),
};

function toInput(value: unknown): SQLInputValue {
  switch (typeof value) {
    case "string":
    case "number":
    case "bigint":
      return value;
    default:
      if (value === null || value instanceof Uint8Array) {
        return value;
      }
      throw new TypeError(`SQLite cannot keep a value of type ${typeof value}`);
  }
}

function attempt<T>(action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw isSqliteError(error) ? new DatabaseFailure(kindOf(error), error) : error;
  }
}

/** What `node:sqlite` throws for what SQLite reports. */
export interface SqliteError extends Error {
  /** SQLite's extended result code; the low byte is the primary one: https://www.sqlite.org/rescode.html */
  readonly errcode: number;
}

export function isSqliteError(error: unknown): error is SqliteError {
  return (
    error instanceof Error &&
    "code" in error &&
    error.code === "ERR_SQLITE_ERROR" &&
    "errcode" in error &&
    typeof error.errcode === "number"
  );
}

/** SQLite's primary result codes that matter here. */
export const sqliteBusy = 5;
const refusals: readonly number[] = [18 /* too big */, 19 /* constraint */, 20 /* mismatch */];

function kindOf({ errcode }: SqliteError): DatabaseFailure["kind"] {
  return refusals.includes(errcode & 0xff) ? "refused" : "unavailable";
}
