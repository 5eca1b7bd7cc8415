import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { pino } from "pino";
import type { StoreHome } from "../../../../test/contract/job-store/store-home.ts";
import { describeJobStore } from "../../../../test/contract/job-store.ts";
import { openSqliteDatabase } from "./open-sqlite.ts";

async function makeHome(): Promise<StoreHome> {
  const directory = await mkdtemp(path.join(tmpdir(), "comfyrpc-test-"));
  return {
    isShared: false,
    open: (clock) => openSqliteDatabase(directory, { clock, logger: pino({ level: "silent" }) }),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true }),
  };
}

describeJobStore("SQLite", makeHome);
