import { describe, expect, it } from "vitest";
import { hasOwnPostgres, hasPostgres, startOwnPostgres, startTestPostgres } from "./postgres.ts";
import { queryPostgres } from "./postgres-query.ts";

describe.skipIf(!hasPostgres)("startTestPostgres", () => {
  it("gives each its own empty database, and drops it", async () => {
    await using a = await startTestPostgres();
    const b = await startTestPostgres();
    await queryPostgres(b.url, "CREATE TABLE t (x int)");
    expect(await queryPostgres(a.url, "SELECT to_regclass('t') AS t")).toEqual([{ t: null }]);

    await b[Symbol.asyncDispose]();
    await expect(queryPostgres(b.url, "SELECT 1")).rejects.toThrow("does not exist");
  });
});

describe.skipIf(!hasOwnPostgres)("startOwnPostgres", () => {
  it("keeps what was committed over a restart", async () => {
    await using server = await startOwnPostgres();
    await queryPostgres(server.url, "CREATE TABLE t AS SELECT 1 AS x");
    await server.restart();
    expect(await queryPostgres(server.url, "SELECT x FROM t")).toEqual([{ x: 1 }]);
    await server.stop();
    await expect(queryPostgres(server.url, "SELECT 1")).rejects.toThrow("ECONNREFUSED");
    await server.start();
    expect(await queryPostgres(server.url, "SELECT x FROM t")).toEqual([{ x: 1 }]);
  });
});
