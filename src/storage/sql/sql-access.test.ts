import {
  type DatabaseConnection,
  DummyDriver,
  Kysely,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from "kysely";
import { describe, expect, it } from "vitest";
import { systemClock } from "../../lib/clock.ts";
import { DatabaseFailure } from "./database-failure.ts";
import type { Tables } from "./schema.ts";
import { createSqlAccess } from "./sql-access.ts";
import { createSqliteDialect } from "./sqlite/sqlite-dialect.ts";

const never = new AbortController().signal;
const passing = () => new DatabaseFailure("passing", new Error("select secret from db.internal"));

describe("SqlAccess", () => {
  it("runs a transaction again that failed by no fault of its own", async () => {
    const { access, log } = open();
    let runs = 0;
    const result = await access.transact(async () => {
      if (++runs < 3) {
        throw passing();
      }
      return runs;
    }, never);
    expect(result).toBe(3);
    expect(log).toEqual(["begin", "rollback", "begin", "rollback", "begin", "commit"]);
  });

  it("runs a reading again, but nothing for ever", async () => {
    const { access } = open();
    let runs = 0;
    const work = async () => {
      runs++;
      throw passing();
    };
    const error = await access.read(work, never).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ reason: "STORE_UNAVAILABLE", cause: { kind: "passing" } });
    expect(String(error)).not.toMatch(/secret|internal/);
    expect(runs).toBe(3);
  });

  it("runs nothing again that may have been committed", async () => {
    const { access, log } = open({ commit: passing });
    let runs = 0;
    const committed = access.transact(async () => ++runs, never);
    await expect(committed).rejects.toMatchObject({ reason: "STORE_UNAVAILABLE" });
    expect(runs).toBe(1);
    expect(log.filter((each) => each === "begin")).toHaveLength(1);
  });

  it.each([
    ["unavailable", { reason: "STORE_UNAVAILABLE" }],
    ["refused", { name: "DatabaseFailure" }], // a fault of ours: not what a caller may try again
  ] as const)("does not run again what is %s", async (kind, expected) => {
    const { access } = open();
    let runs = 0;
    const work = async () => {
      runs++;
      throw new DatabaseFailure(kind, new Error());
    };
    await expect(access.transact(work, never)).rejects.toMatchObject(expected);
    expect(runs).toBe(1);
  });

  it("passes other errors on as they are", async () => {
    const { access, log } = open();
    const error = new Error("mine");
    await expect(access.transact(() => Promise.reject(error), never)).rejects.toBe(error);
    expect(log).toEqual(["begin", "rollback"]);
  });

  it("stops waiting at once when it is aborted, and ends what has begun", async () => {
    const { access, log } = open();
    const controller = new AbortController();
    const gate = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const result = access.transact(async () => {
      begun.resolve();
      await gate.promise;
    }, controller.signal);
    await begun.promise;
    controller.abort(new Error("enough"));
    await expect(result).rejects.toThrow("enough");
    expect(log).toEqual(["begin"]);

    const closed = access[Symbol.asyncDispose]();
    gate.resolve();
    await closed;
    expect(log).toEqual(["begin", "commit", "closed"]);
    await expect(access.read(async () => 1, never)).rejects.toMatchObject({ reason: "STORE_UNAVAILABLE" });
  });

  it("begins no work whose caller went away while it waited for a connection", async () => {
    const controller = new AbortController();
    const { access, log } = open({ acquire: () => controller.abort(new Error("enough")) });
    const work = async () => expect.unreachable();
    await expect(access.transact(work, controller.signal)).rejects.toThrow("enough");
    await access[Symbol.asyncDispose]();
    expect(log).toEqual(["begin", "rollback", "closed"]);
  });
});

interface Faults {
  /** What COMMIT fails with. */
  readonly commit?: () => Error;
  /** Called when a connection is asked for. */
  readonly acquire?: () => void;
}

/** An access to a database that does nothing but fail, and a log of what it was asked for. */
function open(faults: Faults = {}) {
  const log: string[] = [];
  const kysely = new Kysely<Tables>({
    dialect: {
      createDriver: () => new ScriptedDriver(log, faults),
      createAdapter: () => new SqliteAdapter(),
      createQueryCompiler: () => new SqliteQueryCompiler(),
      createIntrospector: (db) => new SqliteIntrospector(db),
    },
  });
  return { log, access: createSqlAccess(kysely, createSqliteDialect(systemClock)) };
}

class ScriptedDriver extends DummyDriver {
  readonly #log: string[];
  readonly #faults: Faults;

  constructor(log: string[], faults: Faults) {
    super();
    this.#log = log;
    this.#faults = faults;
  }

  override async acquireConnection(): Promise<DatabaseConnection> {
    this.#faults.acquire?.();
    return await super.acquireConnection();
  }

  override async beginTransaction(): Promise<void> {
    this.#log.push("begin");
  }

  override async commitTransaction(): Promise<void> {
    const error = this.#faults.commit?.();
    if (error !== undefined) {
      throw error;
    }
    this.#log.push("commit");
  }

  override async rollbackTransaction(): Promise<void> {
    this.#log.push("rollback");
  }

  override async destroy(): Promise<void> {
    this.#log.push("closed");
  }
}
