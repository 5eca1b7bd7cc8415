import { randomUUID } from "node:crypto";
import { sql } from "kysely";
import pg from "pg";
import { pino } from "pino";
import { describe, expect, it } from "vitest";
import {
  all,
  buildFailure,
  buildJob,
  buildRequest,
  buildSubmission,
  lease,
  never,
  running,
  submitEach,
} from "../../../../test/contract/job-store/job-builders.ts";
import { findFreePort } from "../../../../test/support/free-port.ts";
import {
  hasOwnPostgres,
  hasPostgres,
  startOwnPostgres,
  startTestPostgres,
} from "../../../../test/support/postgres.ts";
import { startTcpRelay } from "../../../../test/support/tcp-relay.ts";
import { waitUntil } from "../../../../test/support/wait-until.ts";
import { systemClock } from "../../../lib/clock.ts";
import { DatabaseStartError, NewerDatabaseError } from "../database-failure.ts";
import { migrations } from "../migrate.ts";
import { createSqlDatabase } from "../sql-database.ts";
import { openPostgresAccess, openPostgresDatabase } from "./open-postgres.ts";

const deps = { clock: systemClock, logger: pino({ level: "silent" }) };
const extra = { name: "extra", statements: () => [sql`create table extra (id integer)`] };

describe.skipIf(!hasPostgres)("openPostgresDatabase", () => {
  it("makes the tables once, however many replicas start at once", async () => {
    await using postgres = await startTestPostgres();
    await using stack = new AsyncDisposableStack();
    const opened = await Promise.all(
      Array.from({ length: 6 }, () => openPostgresDatabase(postgres.url, deps)),
    );
    for (const each of opened) {
      stack.use(each);
      await each.jobs.check(never);
    }
    await using client = await connect(postgres.url);
    expect(await client.query("select version, name from schema_migrations")).toEqual(
      migrations.map(({ name }, i) => ({ version: String(i + 1), name })),
    );
  });

  it("refuses a database that a newer version has made, and leaves it alone", async () => {
    await using postgres = await startTestPostgres();
    const withExtra = { migrations: [...migrations, extra] };
    await using _newer = await openPostgresAccess(postgres.url, deps, never, withExtra);
    await expect(openPostgresDatabase(postgres.url, deps)).rejects.toThrow(
      new NewerDatabaseError("the PostgreSQL database"),
    );
    await using _again = await openPostgresAccess(postgres.url, deps, never, withExtra);
  });

  it("undoes a migration that fails half-way, so that it can be run again", async () => {
    await using postgres = await startTestPostgres();
    const broken = { name: "broken", statements: () => [...extra.statements(), ...extra.statements()] };
    const open = (last: typeof extra) =>
      openPostgresAccess(postgres.url, deps, never, { migrations: [...migrations, last] });
    await expect(open(broken)).rejects.toThrow(
      'cannot use the PostgreSQL database: relation "extra" already exists',
    );
    await using _access = await open(extra);
  });

  it("needs no right to make tables when there is nothing to make", async () => {
    await using postgres = await startTestPostgres();
    await using _database = await openPostgresDatabase(postgres.url, deps);
    await using client = await connect(postgres.url);
    const role = `comfyrpc_test_${randomUUID().replaceAll("-", "")}`;
    await client.query(`create role ${role} login password 'secret'`);
    try {
      await client.query(`grant select, insert, update, delete on all tables in schema public to ${role}`);
      const url = new URL(postgres.url);
      url.username = role;
      url.password = "secret";
      await using database = await openPostgresDatabase(url.href, deps);
      await submitEach(database.jobs, [buildJob()]);
    } finally {
      await client.query(`drop owned by ${role}; drop role ${role}`);
    }
  });

  it("goes on when its connections are cut", async () => {
    await using postgres = await startTestPostgres();
    await using database = await openPostgresDatabase(postgres.url, deps);
    await using client = await connect(postgres.url);
    const jobs = await submitEach(database.jobs, [buildJob(), buildJob()]);
    await Promise.all(Array.from({ length: 8 }, () => database.jobs.counts(never))); // several are open
    for (let round = 0; round < 5; round++) {
      await cutConnections(client);
      expect(await database.jobs.counts(never)).toEqual({ queued: 2, running: 0 });
      await cutConnections(client);
      await database.jobs.attach(jobs[0]?.id ?? "", never);
    }
    expect(await database.jobs.detach(jobs[0]?.id ?? "", never)).toBe(4);
  });

  it("does what it is asked for once or says that it is unavailable, while connections are cut", async () => {
    await using postgres = await startTestPostgres();
    await using database = await openPostgresDatabase(postgres.url, deps);
    await using client = await connect(postgres.url);
    const requests = Array.from({ length: 60 }, () => buildRequest(randomUUID()));
    await Promise.all(
      requests.map(async (request, i) => {
        for (;;) {
          try {
            await database.jobs.submit(buildSubmission([buildJob()], { request }), never);
            break;
          } catch (error) {
            expect(error).toMatchObject({ reason: "STORE_UNAVAILABLE" });
          }
        }
        if (i % 4 === 0) {
          await cutConnections(client); // while others are at it
        }
      }),
    );
    const jobs = await database.jobs.list("", all, 1_000, never);
    expect(jobs.map(({ requestId }) => requestId).sort()).toEqual(requests.map(({ id }) => id).sort());
  });

  it("stops waiting for a row that another one holds when its signal is aborted", async () => {
    await using postgres = await startTestPostgres();
    await using database = await openPostgresDatabase(postgres.url, deps);
    await using client = await connect(postgres.url);
    const [job] = await submitEach(database.jobs, [buildJob()]);
    const jobId = job?.id ?? "";
    await client.query("begin; select id from jobs for update");
    const controller = new AbortController();
    const stop = database.jobs.stop({ jobId, failure: buildFailure("JOB_TIMEOUT") }, controller.signal);
    await waitUntil(async () => (await waiting(client)) === 1, "the other one waits");
    expect(await database.jobs.claim(await lease(database.jobs), 5, randomUUID, never)).toEqual([]);
    controller.abort(new Error("enough"));
    await expect(stop).rejects.toThrow("enough");
    await client.query("rollback");
    await waitUntil(
      async () => (await database.jobs.get("", jobId, never))?.state === "expired",
      "it is done",
    );
  });

  it("does not let a lease change hands while a claim under it is under way", async () => {
    await using postgres = await startTestPostgres();
    await using database = await openPostgresDatabase(postgres.url, deps);
    await using client = await connect(postgres.url);
    const { jobs } = database;
    await submitEach(jobs, [buildJob()]);
    const held = await lease(jobs);
    await client.query("begin; lock table jobs");
    const claim = jobs.claim(held, 1, randomUUID, never);
    await waitUntil(async () => (await waiting(client)) === 1, "the claim waits");
    const next = jobs.releaseLease(held, never).then(() => lease(jobs, held.backend, "next"));
    await waitUntil(async () => (await waiting(client)) === 2, "the release waits for the claim");
    await client.query("commit");
    const [claimed] = await claim;
    expect(await jobs.adopt(await next, never)).toEqual([claimed?.job]);
  });

  it("adopts a job as it is after a change that was being made", async () => {
    await using postgres = await startTestPostgres();
    await using database = await openPostgresDatabase(postgres.url, deps);
    await using client = await connect(postgres.url);
    const { jobs } = database;
    const held = await lease(jobs);
    const [stopping, ended] = [await running(jobs, held), await running(jobs, held)];
    await client.query(`begin; update jobs set state = 'cancelling' where id = '${stopping.id}'`);
    await client.query(`update jobs set state = 'failed' where id = '${ended.id}'`);
    const adopted = jobs.adopt(held, never);
    await waitUntil(async () => (await waiting(client)) === 1, "it waits for the change");
    await client.query("commit");
    expect(await adopted).toEqual([{ ...stopping, state: "cancelling" }]);
    expect(await client.query(`select lease_token from jobs where id = '${ended.id}'`)).toEqual([
      { lease_token: String(held.token) }, // as it was
    ]);
  });

  it("says that it is unavailable, and nothing of what or where, when a statement takes too long", async () => {
    await using postgres = await startTestPostgres();
    await using access = await openPostgresAccess(postgres.url, deps, never, { statementTimeoutMs: 50 });
    const { jobs } = createSqlDatabase(access, deps);
    await using client = await connect(postgres.url);
    const [job] = await submitEach(jobs, [buildJob()]);
    await client.query("begin; select id from jobs for update");
    const error = await jobs.attach(job?.id ?? "", never).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ reason: "STORE_UNAVAILABLE", cause: { cause: { code: "57014" } } });
    expect(String(error)).not.toMatch(/update|jobs|timeout|127/);
    await client.query("rollback");
    await jobs.attach(job?.id ?? "", never);
  });

  it("does not wait for ever for a server that has fallen silent", async () => {
    await using postgres = await startTestPostgres();
    const url = new URL(postgres.url);
    await using relay = await startTcpRelay(url.hostname, Number(url.port || 5432));
    url.host = `127.0.0.1:${relay.port}`;
    const timeouts = { connectTimeoutMs: 1_000, statementTimeoutMs: 1_000, answerGraceMs: 100 };
    await using database = await openPostgresDatabase(url.href, deps, timeouts);
    const [job] = await submitEach(database.jobs, [buildJob()]);
    const jobId = job?.id ?? "";
    relay.fallSilent();
    const unavailable = { reason: "STORE_UNAVAILABLE" };
    await expect(database.jobs.counts(never)).rejects.toMatchObject(unavailable);
    await expect(database.jobs.attach(jobId, never)).rejects.toMatchObject(unavailable);
    relay.speak();
    await database.jobs.attach(jobId, never);
    expect(await database.jobs.detach(jobId, never)).toBe(0); // the other one has done nothing
  });

  it("leaves alone how others read integers", async () => {
    await using postgres = await startTestPostgres();
    await using _database = await openPostgresDatabase(postgres.url, deps);
    await using client = await connect(postgres.url);
    expect(await client.query("select 1::int8 as x")).toEqual([{ x: "1" }]);
  });

  it("says why it cannot be opened, without the password", async () => {
    await using postgres = await startTestPostgres();
    const url = new URL(postgres.url);
    const wrong = (change: Partial<URL>) => Object.assign(new URL(url), change).href;
    const said = async (href: string) => {
      const error = await openPostgresDatabase(href, deps).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(DatabaseStartError);
      expect(String(error)).not.toContain("s3cret");
      return String(error);
    };
    expect(await said(wrong({ password: "s3cret" }))).toContain("password authentication failed");
    expect(await said(wrong({ pathname: "/nowhere", hash: "" }))).toContain('"nowhere" does not exist');
    expect(await said(wrong({ port: `${await findFreePort()}`, password: "s3cret" }))).toContain(
      "ECONNREFUSED",
    );
    expect(await said("mysql://u:s3cret@h/d")).toContain("must be like postgres://");
    expect(await said("s3cret")).toContain("must be like postgres://");
  });
});

describe.skipIf(!hasOwnPostgres)("openPostgresDatabase on a server that goes away", () => {
  it("says that it is unavailable until the server is back, and then has everything", async () => {
    await using server = await startOwnPostgres();
    await using database = await openPostgresDatabase(server.url, deps);
    const jobs = await submitEach(database.jobs, [buildJob()]);
    await server.stop();
    const unavailable = { reason: "STORE_UNAVAILABLE" };
    await expect(database.jobs.check(never)).rejects.toMatchObject(unavailable);
    await expect(database.jobs.list("", all, 10, never)).rejects.toMatchObject(unavailable);
    await server.start();
    expect(await database.jobs.list("", all, 10, never)).toEqual(jobs);
    await server.restart();
    await submitEach(database.jobs, [buildJob()]);
    expect(await database.jobs.counts(never)).toEqual({ queued: 2, running: 0 });
  });
});

/** A connection that the store knows nothing of. */
async function connect(url: string) {
  const client = new pg.Client(url);
  await client.connect();
  let before: Promise<unknown> = Promise.resolve();
  return {
    /** Runs after those that were asked for before. */
    async query(text: string): Promise<unknown> {
      const result = before.then(() => client.query(text));
      before = result.catch(() => {});
      return (await result).rows;
    },
    [Symbol.asyncDispose]: () => client.end(),
  };
}

type Connection = Awaited<ReturnType<typeof connect>>;

/** Resolves when they are gone. */
async function cutConnections(client: Connection): Promise<void> {
  await client.query(`
    select pg_terminate_backend(pid, 10000) from pg_stat_activity
    where datname = current_database() and application_name = 'comfyrpc'
  `);
}

/** How many of the store's connections wait for a lock. */
async function waiting(client: Connection): Promise<number> {
  await client.query("select pg_stat_clear_snapshot()"); // else it is the same all through a transaction
  const rows = await client.query(`
    select pid from pg_stat_activity
    where datname = current_database() and application_name = 'comfyrpc' and wait_event_type = 'Lock'
  `);
  return Array.isArray(rows) ? rows.length : 0;
}
