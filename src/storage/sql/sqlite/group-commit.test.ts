import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { Kysely, SqliteDialect, sql } from "kysely";
import { describe, expect, it } from "vitest";
import { DatabaseFailure } from "../database-failure.ts";
import type { Db, Tables } from "../schema.ts";
import { createGroupCommit } from "./group-commit.ts";
import { openSqliteConnection } from "./sqlite-connection.ts";

const never = new AbortController().signal;

/** A database with one table of numbers, and what was said to it to begin and end transactions. */
async function open() {
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(await mkdtempDisposable(join(tmpdir(), "comfyrpc-test-")));
  const connection = openSqliteConnection(join(path, "db"));
  connection.execute("create table numbers (n integer primary key)");
  const said: string[] = [];
  const database = {
    ...connection,
    prepare: (text: string) => {
      if (/^(begin|commit|rollback)$/.test(text)) {
        said.push(text);
      }
      return connection.prepare(text);
    },
  };
  const kysely = new Kysely<Tables>({ dialect: new SqliteDialect({ database }) });
  stack.defer(() => kysely.destroy());
  const owned = stack.move();
  return {
    said,
    connection,
    transact: createGroupCommit(kysely),
    numbers: async () => (await sql<{ n: number }>`select n from numbers order by n`.execute(kysely)).rows,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function insert(db: Db, n: number): Promise<number> {
  await sql`insert into numbers values (${n})`.execute(db);
  return n;
}

describe("transactions of one moment", () => {
  it("are committed together", async () => {
    await using database = await open();
    const results = await Promise.all([1, 2, 3].map((n) => database.transact((db) => insert(db, n), never)));
    expect(results).toEqual([1, 2, 3]);
    expect(database.said).toEqual(["begin", "commit"]);
    await database.transact((db) => insert(db, 4), never);
    expect(database.said).toEqual(["begin", "commit", "begin", "commit"]);
  });

  it("do what they would do one after the other, whichever of them fail", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ n: fc.nat(5), fails: fc.boolean() }), { maxLength: 10 }),
        async (steps) => {
          await using database = await open();
          const outcomes = await Promise.allSettled(
            steps.map(({ n, fails }) =>
              database.transact(async (db) => {
                await insert(db, n);
                if (fails) {
                  throw new Error("of its own");
                }
                return n;
              }, never),
            ),
          );
          const expected = new Set<number>();
          for (const [i, { n, fails }] of steps.entries()) {
            const goesWell = !fails && !expected.has(n);
            expect(outcomes[i]?.status).toBe(goesWell ? "fulfilled" : "rejected");
            if (goesWell) {
              expected.add(n);
            }
          }
          expect(await database.numbers()).toEqual([...expected].sort().map((n) => ({ n })));
        },
      ),
      { numRuns: 30 },
    );
  });

  it("are not begun if nobody waits for them any more", async () => {
    await using database = await open();
    const gone = AbortSignal.abort(new Error("gone"));
    await expect(database.transact((db) => insert(db, 1), gone)).rejects.toThrow("gone");
    expect(await database.numbers()).toEqual([]);
  });

  it("all fail, and leave nothing, when the database undoes everything", async () => {
    await using database = await open();
    const outcomes = await Promise.allSettled([
      database.transact((db) => insert(db, 1), never),
      database.transact(async (db) => {
        await insert(db, 2);
        database.connection.execute("rollback"); // as SQLite does by itself when the disk is full
        throw new DatabaseFailure("unavailable", new Error("full"));
      }, never),
      database.transact((db) => insert(db, 3), never),
    ]);
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({ status: "rejected", reason: { kind: "unavailable" } });
    }
    expect(await database.numbers()).toEqual([]);
    expect(await database.transact((db) => insert(db, 4), never)).toBe(4);
  });
});
