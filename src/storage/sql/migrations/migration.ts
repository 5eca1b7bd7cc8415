import type { RawBuilder } from "kysely";
import type { SqlTypes } from "../sql-dialect.ts";

/** A step from one version of the schema to the next. What has been released is never changed again. */
export interface Migration {
  readonly name: string;
  /** Statements to be run in this order, in one transaction. */
  statements(types: SqlTypes): readonly RawBuilder<unknown>[];
}
