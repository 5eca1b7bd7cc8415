import type { Expression, RawBuilder, SelectQueryBuilder } from "kysely";
import type { Db } from "./schema.ts";

/** Where the databases differ. Everything else is the same SQL for all of them. */
export interface SqlDialect {
  readonly types: SqlTypes;

  /** Milliseconds since 1970, by the clock that is the same for all who use the database. */
  nowMs(): Expression<number>;

  /**
   * Makes a query take hold of the rows that it returns until the transaction ends:
   *
   * - `update`: nobody else can change them, or take hold of them; rows that others hold are waited for.
   * - `update skip locked`: the same, but rows that others hold are left out.
   * - `share`: nobody else can change them, but others can take hold of them in this way too.
   *
   * The query must be of one table. A row that was changed while it was waited for is returned as it is then, if it
   * still fits the conditions.
   */
  lock<DB, TB extends keyof DB, O>(
    query: SelectQueryBuilder<DB, TB, O>,
    mode: LockMode,
  ): SelectQueryBuilder<DB, TB, O>;

  /** Waits until no other process migrates the database; holds until the transaction ends. */
  lockMigrations(transaction: Db): Promise<void>;

  /** Whether there is a table of this name. */
  hasTable(db: Db, name: string): Promise<boolean>;
}

export type LockMode = "update" | "update skip locked" | "share";

/** Words of `create table`. */
export interface SqlTypes {
  /** Text that is compared and ordered by its bytes, for ids and whatever is in an index. */
  readonly key: RawBuilder<unknown>;
  readonly text: RawBuilder<unknown>;
  /** An integer up to 2^53. */
  readonly int: RawBuilder<unknown>;
  /** After the closing bracket. */
  readonly tableOptions: RawBuilder<unknown>;
}
