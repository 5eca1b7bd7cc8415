import { type Kysely, sql } from "kysely";
import { DatabaseFailure } from "../database-failure.ts";
import type { Db, Tables } from "../schema.ts";
import type { Transact } from "../sql-access.ts";

/**
 * Runs transactions that are asked for at the same moment as one, each in a savepoint of its own: what a transaction
 * costs is the one flush to the disk at its end. Each sees what those before it did, and what one has done is undone if
 * it fails, as if they followed each other. If the whole cannot be committed, nothing of it was done, and all fail.
 */
export function createGroupCommit(kysely: Kysely<Tables>): Transact {
  let waiting: Member[] = [];

  function wait(member: Member): void {
    waiting.push(member);
    if (waiting.length === 1) {
      setImmediate(() => {
        const members = waiting;
        waiting = [];
        void runTogether(kysely, members);
      });
    }
  }

  return (work, signal) => {
    const { promise, resolve, reject } = Promise.withResolvers<Awaited<ReturnType<typeof work>>>();
    wait({
      async run(db) {
        signal.throwIfAborted(); // it may have waited
        const result = await work(db);
        return () => resolve(result);
      },
      reject,
    });
    return promise;
  };
}

interface Member {
  /** Returns what tells that it has been committed. */
  run(db: Db): Promise<() => void>;
  reject(error: unknown): void;
}

async function runTogether(kysely: Kysely<Tables>, members: readonly Member[]): Promise<void> {
  try {
    const committed = await kysely.transaction().execute(async (db) => {
      const done: (() => void)[] = [];
      for (const member of members) {
        const tell = await runInSavepoint(db, member);
        if (tell !== undefined) {
          done.push(tell);
        }
      }
      return done;
    });
    for (const tell of committed) {
      tell();
    }
  } catch (error) {
    for (const { reject } of members) {
      reject(new DatabaseFailure("unavailable", error)); // those that have failed by themselves know already
    }
  }
}

/** Runs one of them. Returns `undefined` if it failed and was undone. */
async function runInSavepoint(db: Db, member: Member): Promise<(() => void) | undefined> {
  await sql`savepoint member`.execute(db);
  try {
    const tell = await member.run(db);
    await sql`release savepoint member`.execute(db);
    return tell;
  } catch (error) {
    member.reject(error);
    // Fails if SQLite has undone everything, as it does when the disk is full: then all fail.
    await sql`rollback to savepoint member`.execute(db);
    await sql`release savepoint member`.execute(db);
    return undefined;
  }
}
