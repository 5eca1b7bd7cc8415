import { randomUUID } from "node:crypto";
import { Client } from "pg";
import { inject } from "vitest";
import { requireClients } from "./clients.ts";
import { type PostgresServer, startPostgresServer } from "./postgres-server.ts";

const { url: operatorUrl, binaries, sharedServerUrl } = inject("postgres");

/** Whether {@link startTestPostgres} works here; tests that need it are skipped otherwise. */
export const hasPostgres = operatorUrl !== undefined || binaries !== undefined;
requireClients("PostgreSQL", hasPostgres);

/** Whether {@link startOwnPostgres} works here; tests that need it are skipped otherwise. */
export const hasOwnPostgres = binaries !== undefined;
requireClients("PostgreSQL's own programs", hasOwnPostgres);

/** A fresh, empty database on a real server. Disposing of it drops it, whoever is connected. */
export interface TestPostgres extends AsyncDisposable {
  readonly url: string;
}

/**
 * Makes a database on the server that all tests of a run share: that of `DATABASE_URL`, of a role that may create
 * databases, or one that the first test starts.
 */
export async function startTestPostgres(): Promise<TestPostgres> {
  const adminUrl = operatorUrl ?? (await askForSharedServer());
  const name = `comfyrpc_test_${randomUUID().replaceAll("-", "")}`;
  await execute(adminUrl, `CREATE DATABASE ${name}`);
  const url = new URL(adminUrl);
  url.pathname = `/${name}`;
  return {
    url: url.href,
    [Symbol.asyncDispose]: () => execute(adminUrl, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`),
  };
}

/** Starts a server that the caller alone has, and so may stop and start again. */
export async function startOwnPostgres(): Promise<PostgresServer> {
  if (!binaries) {
    throw new Error("PostgreSQL is not installed");
  }
  return await startPostgresServer(binaries);
}

async function askForSharedServer(): Promise<string> {
  const response = await fetch(sharedServerUrl);
  const text = await response.text();
  if (!response.ok) {
    throw new Error(text);
  }
  return text;
}

async function execute(url: string, sql: string): Promise<void> {
  const client = new Client(url);
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
