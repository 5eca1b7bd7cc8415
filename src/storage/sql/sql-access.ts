import type { Kysely } from "kysely";
import { ServiceError } from "../../domain/errors.ts";
import { DatabaseFailure, toStoreError } from "./database-failure.ts";
import type { Db, Tables } from "./schema.ts";
import type { SqlDialect } from "./sql-dialect.ts";

/**
 * The way to the database. Errors of the database come out of it as `STORE_UNAVAILABLE`; others as they are.
 *
 * Aborting `signal` ends the waiting at once, while what has begun goes on to its end, so that no transaction is left
 * open. Work may be run more than once if it fails by no fault of its own, but never after it may have been committed.
 */
export interface SqlAccess extends AsyncDisposable {
  readonly dialect: SqlDialect;

  /** Runs `work`, each of its statements on its own. It must not write. */
  read<T>(this: void, work: (db: Db) => Promise<T>, signal: AbortSignal): Promise<T>;

  /** Runs `work` in a transaction, at READ COMMITTED: each statement sees what others have committed before it. */
  transact<T>(this: void, work: (db: Db) => Promise<T>, signal: AbortSignal): Promise<T>;

  /** Waits for what is under way, then closes the database. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** How often work is run at most. Deadlocks are rare, and a restart of the server breaks connections just once. */
const maxRuns = 3;

/** Runs `work` in a transaction, once. What it throws if it cannot tell whether that was committed is not `passing`. */
export type Transact = <T>(work: (db: Db) => Promise<T>, signal: AbortSignal) => Promise<T>;

/** How work is run, once. */
export interface SqlRunner {
  /** Default: at once. */
  readonly read?: Transact;
  /** Default: each transaction on its own. */
  readonly transact?: Transact;
}

/** Takes over `kysely`. */
export function createSqlAccess(
  kysely: Kysely<Tables>,
  dialect: SqlDialect,
  {
    read: readOnce = (work) => work(kysely),
    transact: transactOnce = (work, signal) => transactAlone(kysely, work, signal),
  }: SqlRunner = {},
): SqlAccess {
  const underWay = new Set<Promise<unknown>>();
  let closing: Promise<void> | undefined;

  async function run<T>(once: () => Promise<T>, signal: AbortSignal): Promise<T> {
    signal.throwIfAborted();
    if (closing !== undefined) {
      throw new ServiceError("STORE_UNAVAILABLE", "the service is shutting down");
    }
    const running = runAgain(once, signal);
    underWay.add(running);
    const forget = () => void underWay.delete(running);
    running.then(forget, forget);
    return await orAborted(running, signal);
  }

  return {
    dialect,
    read: (work, signal) => run(() => readOnce(work, signal), signal),
    transact: (work, signal) => run(() => transactOnce(work, signal), signal),
    async [Symbol.asyncDispose]() {
      closing ??= Promise.allSettled(underWay).then(() => kysely.destroy());
      await closing;
    },
  };
}

async function transactAlone<T>(
  kysely: Kysely<Tables>,
  work: (db: Db) => Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  let isCommitting = false;
  try {
    return await kysely
      .transaction()
      .setIsolationLevel("read committed")
      .execute(async (transaction) => {
        signal.throwIfAborted(); // it may have waited long for a connection
        const result = await work(transaction);
        isCommitting = true;
        return result;
      });
  } catch (error) {
    throw isCommitting && error instanceof DatabaseFailure
      ? new DatabaseFailure("unavailable", error) // it may have been committed: not to be run again
      : error;
  }
}

async function runAgain<T>(once: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (let runs = 1; ; runs++) {
    try {
      return await once();
    } catch (error) {
      const isPassing = error instanceof DatabaseFailure && error.kind === "passing";
      if (!isPassing || runs >= maxRuns || signal.aborted) {
        throw toStoreError(error);
      }
    }
  }
}

async function orAborted<T>(running: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([running, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
