import { Client } from "pg";

/** Runs one query on a connection of its own, and returns its rows. */
export async function queryPostgres(
  url: string,
  sql: string,
  values: readonly unknown[] = [],
): Promise<readonly unknown[]> {
  const client = new Client(url);
  await client.connect();
  try {
    return (await client.query(sql, [...values])).rows;
  } finally {
    await client.end();
  }
}
