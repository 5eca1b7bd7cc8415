import { Client } from "pg";
import { describe, expect, it } from "vitest";
import { hasOwnPostgres, hasPostgres, startOwnPostgres, startTestPostgres } from "./postgres.ts";

describe.skipIf(!hasPostgres)("startTestPostgres", () => {
  it("gives each its own empty database, and drops it", async () => {
    await using a = await startTestPostgres();
    const b = await startTestPostgres();
    await query(b.url, "CREATE TABLE t (x int)");
    expect(await query(a.url, "SELECT to_regclass('t') AS t")).toEqual([{ t: null }]);

    await b[Symbol.asyncDispose]();
    await expect(query(b.url, "SELECT 1")).rejects.toThrow("does not exist");
  });
});

describe.skipIf(!hasOwnPostgres)("startOwnPostgres", () => {
  it("keeps what was committed over a restart", async () => {
    await using server = await startOwnPostgres();
    await query(server.url, "CREATE TABLE t AS SELECT 1 AS x");
    await server.restart();
    expect(await query(server.url, "SELECT x FROM t")).toEqual([{ x: 1 }]);
    await server.stop();
    await expect(query(server.url, "SELECT 1")).rejects.toThrow("ECONNREFUSED");
    await server.start();
    expect(await query(server.url, "SELECT x FROM t")).toEqual([{ x: 1 }]);
  });
});

async function query(url: string, sql: string, values: unknown[] = []): Promise<unknown[]> {
  const client = new Client(url);
  await client.connect();
  try {
    return (await client.query(sql, values)).rows;
  } finally {
    await client.end();
  }
}
