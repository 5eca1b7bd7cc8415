import type { AssetStore } from "../asset-store.ts";
import type { JobStore } from "../job-store.ts";
import type { TemplateStore } from "../template-store.ts";
import type { DatabaseDeps } from "./database-deps.ts";
import type { SqlAccess } from "./sql-access.ts";
import { createSqlAssetStore } from "./sql-asset-store.ts";
import { createSqlJobStore } from "./sql-job-store.ts";
import { createSqlTemplateStore } from "./sql-template-store.ts";

/** A database that is open. Disposing of it waits for what is under way and closes it. */
export interface SqlDatabase extends AsyncDisposable {
  readonly jobs: JobStore;
  readonly assets: AssetStore;
  readonly templates: TemplateStore;
}

/** Makes the stores of a database whose schema is up to date. Takes over `access`. */
export function createSqlDatabase(access: SqlAccess, deps: DatabaseDeps): SqlDatabase {
  return {
    jobs: createSqlJobStore(access, deps),
    assets: createSqlAssetStore(access, deps),
    templates: createSqlTemplateStore(access, deps),
    [Symbol.asyncDispose]: () => access[Symbol.asyncDispose](),
  };
}
