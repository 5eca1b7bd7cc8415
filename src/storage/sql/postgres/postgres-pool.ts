import type { PostgresCursor, PostgresPool, PostgresPoolClient, PostgresQueryResult } from "kysely";
import pg from "pg";
import type { Logger } from "../../../telemetry/logger.ts";
import { DatabaseFailure } from "../database-failure.ts";

/** How connections are made and used. The defaults are for a database in the same data center. */
export interface PostgresPoolOptions {
  /** Connections at most. Default 10. */
  readonly maxConnections?: number;
  /** For a connection to be had, be it a new one or one that others give back. Default 5,000. */
  readonly connectTimeoutMs?: number;
  /** For a statement, by the server. Default 30,000. */
  readonly statementTimeoutMs?: number;
  /** By how much the server's answer may be later than that before the connection counts as dead. Default 10,000. */
  readonly answerGraceMs?: number;
}

const idleTimeoutMs = 30_000;
/** A process that is stopped in the middle of a transaction does not keep rows from the others for longer. */
const idleInTransactionTimeoutMs = 15_000;

/**
 * Connections to PostgreSQL, as kysely wants them. What they throw is a {@link DatabaseFailure}; a connection that broke,
 * or does not answer, is dropped.
 */
export function createPostgresPool(
  url: string,
  logger: Logger,
  {
    maxConnections = 10,
    connectTimeoutMs = 5_000,
    statementTimeoutMs = 30_000,
    answerGraceMs = 10_000,
  }: PostgresPoolOptions = {},
): PostgresPool {
  const pool = new pg.Pool({
    connectionString: url,
    application_name: "comfyrpc",
    max: maxConnections,
    connectionTimeoutMillis: connectTimeoutMs,
    idleTimeoutMillis: idleTimeoutMs,
    statement_timeout: statementTimeoutMs,
    query_timeout: statementTimeoutMs + answerGraceMs,
    idle_in_transaction_session_timeout: idleInTransactionTimeoutMs,
    keepAlive: true,
    types: { getTypeParser },
  });
  // A connection that breaks says so by an event, which would end the process if nobody listened: the pool listens to
  // those that are idle and passes it on, and to those in use nobody does. Only the text is logged: the errors carry the
  // whole connection.
  pool.on("error", ({ message }) =>
    logger.warn({ reason: message }, "an idle connection to the database broke"),
  );
  // Where one connection broke, those that were made before are likely broken too, without knowing it yet: the server was
  // restarted, or another one has taken over. None of them is used again.
  let breaks = 0;
  const breaksBefore = new WeakMap<object, number>();
  pool.on("connect", (client) => {
    breaksBefore.set(client, breaks);
    client.on("error", ({ message }) =>
      logger.debug({ reason: message }, "a connection to the database broke"),
    );
  });
  return {
    async connect() {
      for (;;) {
        const client = await pool.connect().catch((error: unknown) => {
          throw new DatabaseFailure("unavailable", error);
        });
        if (breaksBefore.get(client) === breaks) {
          return new GuardedClient(client, () => breaks++);
        }
        client.release(true);
      }
    },
    end: () => pool.end(),
    options: pool.options,
  };
}

const int8Oid = 20;

/** Integers of 64 bits as numbers: ours stay below 2^53. For this pool alone, since the setting of `pg` is global. */
const getTypeParser: typeof pg.types.getTypeParser = (oid: number, format?: "text" | "binary") =>
  oid === int8Oid ? Number : pg.types.getTypeParser(oid, format);

class GuardedClient implements PostgresPoolClient {
  readonly #client: PostgresPoolClient;
  readonly #onBreak: () => void;
  #isBroken = false;

  constructor(client: PostgresPoolClient, onBreak: () => void) {
    this.#client = client;
    this.#onBreak = onBreak;
  }

  query<R>(sql: string, parameters: readonly unknown[]): Promise<PostgresQueryResult<R>>;
  query<R>(cursor: PostgresCursor<R>): PostgresCursor<R>;
  query<R>(
    query: string | PostgresCursor<R>,
    parameters: readonly unknown[] = [],
  ): PostgresCursor<R> | Promise<PostgresQueryResult<R>> {
    return typeof query === "string" ? this.#run<R>(query, parameters) : this.#client.query(query);
  }

  async #run<R>(query: string, parameters: readonly unknown[]): Promise<PostgresQueryResult<R>> {
    try {
      return await this.#client.query<R>(query, parameters);
    } catch (error) {
      // What the server itself says leaves the connection as it was, unless it is the end of it.
      const sqlState = error instanceof pg.DatabaseError ? (error.code ?? "") : undefined;
      if (!this.#isBroken && (sqlState === undefined || isEndOfConnection(sqlState))) {
        this.#isBroken = true;
        this.#onBreak();
      }
      throw new DatabaseFailure(kindOf(error, sqlState), error);
    }
  }

  release(destroy?: boolean): void {
    this.#client.release(destroy === true || this.#isBroken);
  }
}

/** @see https://www.postgresql.org/docs/current/errcodes-appendix.html */
function kindOf(error: unknown, sqlState: string | undefined): DatabaseFailure["kind"] {
  if (sqlState === undefined) {
    // Without a state it is the connection that failed. One that does not answer is not tried again: that took long.
    return error instanceof Error && error.message === "Query read timeout" ? "unavailable" : "passing";
  }
  const isConflict = sqlState === "40001" || sqlState === "40P01";
  if (isConflict || isEndOfConnection(sqlState)) {
    return "passing";
  }
  return sqlState.startsWith("22") || sqlState.startsWith("23") ? "refused" : "unavailable";
}

/** The server ends the connection: it is being shut down, or somebody told it to. */
function isEndOfConnection(sqlState: string): boolean {
  return sqlState.startsWith("08") || sqlState.startsWith("57P");
}
