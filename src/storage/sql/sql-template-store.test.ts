import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe } from "vitest";
import { describeTemplateStore, type OpenTemplateStore } from "../../../test/contract/template-store.ts";
import { hasPostgres, startTestPostgres } from "../../../test/support/postgres.ts";
import { systemClock } from "../../lib/clock.ts";
import { createLogger } from "../../telemetry/logger.ts";
import { openPostgresDatabase } from "./postgres/open-postgres.ts";
import type { SqlDatabase } from "./sql-database.ts";
import { openSqliteDatabase } from "./sqlite/open-sqlite.ts";

const deps = { clock: systemClock, logger: createLogger({ level: "silent" }) };

describeTemplateStore("SQLite", async () => {
  await using stack = new AsyncDisposableStack();
  const directory = stack.use(await mkdtempDisposable(join(tmpdir(), "comfyrpc-test-")));
  return await openStore(1, () => openSqliteDatabase(directory.path, deps), stack.move());
});

describe.skipIf(!hasPostgres)("with a server", () => {
  describeTemplateStore("PostgreSQL", async () => {
    await using stack = new AsyncDisposableStack();
    const { url } = stack.use(await startTestPostgres());
    return await openStore(2, () => openPostgresDatabase(url, deps), stack.move());
  });
});

/** Opens as many databases of one home as it can have; `owned` is what there is of the home. */
async function openStore(
  count: 1 | 2,
  open: () => Promise<SqlDatabase>,
  owned: AsyncDisposableStack,
): Promise<OpenTemplateStore> {
  await using stack = new AsyncDisposableStack();
  stack.use(owned);
  let opened = new AsyncDisposableStack();
  stack.defer(() => opened.disposeAsync());
  const { templates } = opened.use(await open());
  const other = count === 2 ? opened.use(await open()).templates : templates;
  const all = stack.move();
  return {
    templates,
    other,
    async reopen() {
      await opened.disposeAsync();
      opened = new AsyncDisposableStack();
      return opened.use(await open()).templates;
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}
