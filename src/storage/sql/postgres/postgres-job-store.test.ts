import { pino } from "pino";
import { describe } from "vitest";
import type { StoreHome } from "../../../../test/contract/job-store/store-home.ts";
import { describeJobStore } from "../../../../test/contract/job-store.ts";
import { hasPostgres, startTestPostgres } from "../../../../test/support/postgres.ts";
import { openPostgresDatabase } from "./open-postgres.ts";

async function makeHome(): Promise<StoreHome> {
  const postgres = await startTestPostgres();
  return {
    isShared: true,
    open: (clock) => openPostgresDatabase(postgres.url, { clock, logger: pino({ level: "silent" }) }),
    [Symbol.asyncDispose]: () => postgres[Symbol.asyncDispose](),
  };
}

describe.skipIf(!hasPostgres)("with a server", () => describeJobStore("PostgreSQL", makeHome));
