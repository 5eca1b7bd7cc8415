import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { sql } from "kysely";
import { pino } from "pino";
import { describe, expect, it } from "vitest";
import { buildJob, buildSubmission, lease, never } from "../../../../test/contract/job-store/job-builders.ts";
import { systemClock } from "../../../lib/clock.ts";
import { DatabaseStartError, DirectoryInUseError, NewerDatabaseError } from "../database-failure.ts";
import { migrations } from "../migrate.ts";
import { createSqlDatabase } from "../sql-database.ts";
import { openSqliteAccess, openSqliteDatabase } from "./open-sqlite.ts";

const deps = { clock: systemClock, logger: pino({ level: "silent" }) };
const extra = { name: "extra", statements: () => [sql`create table extra (id integer)`] };

describe("openSqliteDatabase", () => {
  it("makes the directory, for its owner alone, and keeps what is committed on the disk", async () => {
    await using parent = await temporaryDirectory();
    const directory = path.join(parent.path, "a/b");
    await using access = await openSqliteAccess(directory, deps);
    expect((await stat(directory)).mode & 0o777).toBe(0o700);
    expect((await stat(path.join(directory, "comfyrpc.sqlite3"))).isFile()).toBe(true);
    await access.read(async (db) => {
      const pragma = async (name: string) =>
        Object.values(Object((await sql.raw(`pragma ${name}`).execute(db)).rows[0]));
      expect(await pragma("journal_mode")).toEqual(["wal"]);
      expect(await pragma("synchronous")).toEqual([2]);
      expect(await pragma("foreign_keys")).toEqual([1]);
      expect(await pragma("locking_mode")).toEqual(["exclusive"]);
    }, never);
  });

  it("refuses a directory that this process has open, until it is closed", async () => {
    await using directory = await temporaryDirectory();
    await using first = await openSqliteDatabase(directory.path, deps);
    const second = openSqliteDatabase(directory.path, deps);
    await expect(second).rejects.toThrow(
      new DirectoryInUseError(directory.path), // compares the message
    );
    await first.jobs.check(never);
    await first[Symbol.asyncDispose]();
    await using _again = await openSqliteDatabase(directory.path, deps);
  });

  it("refuses a directory that another process has open, until that is gone, killed even", async () => {
    await using directory = await temporaryDirectory();
    await using other = await openInProcess(directory.path);
    await expect(openSqliteDatabase(directory.path, deps)).rejects.toThrow(
      `the directory ${directory.path} is in use by another comfyrpc process; ` +
        "stop that, or choose another COMFYRPC_DATA_DIR",
    );
    await other.kill();
    await using database = await openSqliteDatabase(directory.path, deps);
    expect(await database.jobs.get("", other.jobId, never)).toMatchObject({ state: "running" });
    // Nobody can be alive who holds a lease, or waits for a job.
    await database.jobs.attach(other.jobId, never);
    expect(await database.jobs.detach(other.jobId, never)).toBe(0);
    const next = await lease(database.jobs, "gpu-1", "next");
    expect(await database.jobs.adopt(next, never)).toMatchObject([{ id: other.jobId }]);
  });

  it("refuses a database that a newer version has made, and leaves it alone", async () => {
    await using directory = await temporaryDirectory();
    const newer = await openSqliteAccess(directory.path, deps, { migrations: [...migrations, extra] });
    await newer[Symbol.asyncDispose]();
    await expect(openSqliteDatabase(directory.path, deps)).rejects.toThrow(
      new NewerDatabaseError(`the database in ${directory.path}`),
    );
    await using again = await openSqliteAccess(directory.path, deps, { migrations: [...migrations, extra] });
    await again.read((db) => sql`select id from extra`.execute(db), never);
  });

  it("undoes a migration that fails half-way, so that it can be run again", async () => {
    await using directory = await temporaryDirectory();
    const broken = {
      name: "broken",
      statements: () => [...extra.statements(), sql`create table extra (id integer)`],
    };
    const open = (last: typeof extra) =>
      openSqliteAccess(directory.path, deps, { migrations: [...migrations, last] });
    await expect(open(broken)).rejects.toThrow(DatabaseStartError);
    await using _access = await open(extra);
  });

  it("says that a file is no database, and does not hold on to it", async () => {
    await using directory = await temporaryDirectory();
    const file = path.join(directory.path, "comfyrpc.sqlite3");
    await writeFile(file, "no database".repeat(1_000));
    await expect(openSqliteDatabase(directory.path, deps)).rejects.toThrow(
      `cannot use the database in ${directory.path}: file is not a database`,
    );
    await rm(file);
    await using _database = await openSqliteDatabase(directory.path, deps);
  });

  it("says that the directory cannot be made", async () => {
    await using directory = await temporaryDirectory();
    await writeFile(path.join(directory.path, "file"), "");
    await expect(openSqliteDatabase(path.join(directory.path, "file/below"), deps)).rejects.toThrow(
      /cannot make the directory .*ENOTDIR.*COMFYRPC_DATA_DIR/,
    );
  });

  it("closes when what is under way is done, and takes nothing more", async () => {
    await using directory = await temporaryDirectory();
    const database = await openSqliteDatabase(directory.path, deps);
    const job = buildJob();
    const submitted = database.jobs.submit(buildSubmission([job]), never);
    const closed = Promise.all([database[Symbol.asyncDispose](), database[Symbol.asyncDispose]()]);
    await expect(database.jobs.counts(never)).rejects.toMatchObject({ reason: "STORE_UNAVAILABLE" });
    expect(await submitted).toMatchObject({ type: "accepted" });
    await closed;
    await using again = await openSqliteDatabase(directory.path, deps);
    expect(await again.jobs.get("", job.id, never)).toMatchObject({ id: job.id });
  });

  it("says that it is unavailable when the disk is full, keeps nothing by half, and goes on later", async () => {
    await using directory = await temporaryDirectory();
    await using access = await openSqliteAccess(directory.path, deps);
    const { jobs } = createSqlDatabase(access, deps);
    const allow = (pages: number) =>
      access.read((db) => sql.raw(`pragma max_page_count = ${pages}`).execute(db), never);
    await allow(1); // becomes what there is
    const large = buildJob({ note: "x".repeat(1_000_000) });
    const error = await jobs.submit(buildSubmission([large]), never).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ reason: "STORE_UNAVAILABLE", cause: { cause: { errcode: 13 } } });
    expect(String(error)).not.toMatch(/insert|sqlite|full/i);
    expect(await jobs.counts(never)).toEqual({ queued: 0, running: 0 });
    await allow(1_000_000);
    expect(await jobs.submit(buildSubmission([large]), never)).toMatchObject({ type: "accepted" });
  });
});

async function temporaryDirectory() {
  const directory = await mkdtemp(path.join(tmpdir(), "comfyrpc-test-"));
  return {
    path: directory,
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  };
}

const child = `
  import { pino } from "pino";
  import { systemClock } from "./src/lib/clock.ts";
  import { openSqliteDatabase } from "./src/storage/sql/sqlite/open-sqlite.ts";
  import { buildJob, lease, running } from "./test/contract/job-store/job-builders.ts";

  const deps = { clock: systemClock, logger: pino({ level: "silent" }) };
  const { jobs } = await openSqliteDatabase(process.argv[1], deps);
  const job = await running(jobs, await lease(jobs, "gpu-1", "killed"), { attached: true });
  console.log(job.id);
  setInterval(() => {}, 1_000_000);
`;

/** A process that has the database open, with a job that runs under its lease. */
async function openInProcess(directory: string) {
  const process_ = spawn(process.execPath, ["--input-type=module", "-e", child, directory], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(process_, "exit");
  const kill = async () => {
    process_.kill("SIGKILL");
    await exited;
  };
  const [line] = await Promise.race([once(createInterface(process_.stdout), "line"), exited]);
  return { jobId: String(line), kill, [Symbol.asyncDispose]: kill };
}
