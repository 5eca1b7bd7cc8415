import { hashTemplate } from "../../domain/template/template-hash.ts";
import type { TemplateContent } from "../../domain/template/workflow-template.ts";
import type { TemplateRecord, TemplateRevision, TemplateStore, TemplateSummary } from "../template-store.ts";
import type { DatabaseDeps } from "./database-deps.ts";
import type { Db } from "./schema.ts";
import type { SqlAccess } from "./sql-access.ts";
import { readSummaryRow, readTemplateRow, writeTemplateRow } from "./template-row.ts";

/**
 * Makes the part of a database that keeps templates. It lives as long as `access`.
 *
 * Whoever changes what there is of a template holds its row in `templates`, so that one comes after the other.
 */
export function createSqlTemplateStore(
  access: SqlAccess,
  { clock }: Pick<DatabaseDeps, "clock">,
): TemplateStore {
  const { read, transact } = access;
  return {
    register: async (tenant, content, signal) => {
      const sha256 = hashTemplate(content);
      // At every start of the service all that it brings along is registered again.
      const known = await read((db) => findEqual(db, tenant, content.name, sha256), signal);
      return known !== undefined
        ? { template: known, isNew: false }
        : await transact((db) => register(access, db, tenant, content, sha256, clock.now()), signal);
    },

    findEqual: (tenant, name, sha256, signal) => read((db) => findEqual(db, tenant, name, sha256), signal),

    get: (tenant, name, revision, signal) => read((db) => get(db, tenant, name, revision), signal),

    list: (tenant, after, limit, signal) => read((db) => list(db, tenant, after, limit), signal),

    listVersions: (tenant, name, before, limit, signal) =>
      read(async (db) => {
        const rows = await db
          .selectFrom("template_versions")
          .select(summaryColumns)
          .where("tenant", "=", tenant)
          .where("name", "=", name)
          .$if(before !== undefined, (query) => query.where("version", "<", before ?? 0))
          .orderBy("version", "desc")
          .limit(limit)
          .execute();
        return await withAliases(db, tenant, rows.map(readSummaryRow));
      }, signal),

    setAlias: (tenant, name, alias, version, signal) =>
      transact(async (db) => {
        await hold(access, db, tenant, name);
        if ((await get(db, tenant, name, { type: "version", version })) === undefined) {
          return undefined;
        }
        await db
          .insertInto("template_aliases")
          .values({ tenant, name, alias, version })
          .onConflict((conflict) => conflict.columns(["tenant", "name", "alias"]).doUpdateSet({ version }))
          .execute();
        return await get(db, tenant, name, { type: "version", version });
      }, signal),

    deleteAlias: (tenant, name, alias, signal) =>
      transact(async (db) => {
        const row = await db
          .deleteFrom("template_aliases")
          .where("tenant", "=", tenant)
          .where("name", "=", name)
          .where("alias", "=", alias)
          .returning("alias")
          .executeTakeFirst();
        return row !== undefined;
      }, signal),

    remove: (tenant, name, version, signal) =>
      transact((db) => remove(access, db, tenant, name, version), signal),
  };
}

const summaryColumns = [
  ...(["tenant", "name", "version", "sha256", "create_time"] as const),
  ...(["description_json", "parameters_json"] as const),
].map((column) => `template_versions.${column}` as const);

function versionsOf(db: Db, tenant: string, name: string) {
  return db.selectFrom("template_versions").selectAll().where("tenant", "=", tenant).where("name", "=", name);
}

async function register(
  access: SqlAccess,
  db: Db,
  tenant: string,
  content: TemplateContent,
  sha256: string,
  createTime: Date,
): Promise<{ readonly template: TemplateRecord; readonly isNew: boolean }> {
  const { name } = content;
  await db
    .insertInto("templates")
    .values({ tenant, name, last_version: 0 })
    .onConflict((conflict) => conflict.columns(["tenant", "name"]).doNothing())
    .execute();
  const { last_version = 0 } = (await hold(access, db, tenant, name)) ?? {};
  const equal = await findEqual(db, tenant, name, sha256);
  if (equal !== undefined) {
    return { template: equal, isNew: false };
  }
  const template = { ...content, version: last_version + 1, sha256, createTime };
  await db.insertInto("template_versions").values(writeTemplateRow(tenant, template)).execute();
  await db
    .updateTable("templates")
    .set({ last_version: template.version })
    .where("tenant", "=", tenant)
    .where("name", "=", name)
    .execute();
  return { template: { ...template, aliases: [] }, isNew: true };
}

/** Holds the template until the transaction ends. */
async function hold({ dialect }: SqlAccess, db: Db, tenant: string, name: string) {
  const row = db
    .selectFrom("templates")
    .select("last_version")
    .where("tenant", "=", tenant)
    .where("name", "=", name);
  return await dialect.lock(row, "update").executeTakeFirst();
}

async function findEqual(
  db: Db,
  tenant: string,
  name: string,
  sha256: string,
): Promise<TemplateRecord | undefined> {
  const rows = await versionsOf(db, tenant, name).where("sha256", "=", sha256).execute();
  return (await withAliases(db, tenant, rows.map(readTemplateRow)))[0];
}

async function get(
  db: Db,
  tenant: string,
  name: string,
  revision: TemplateRevision,
): Promise<TemplateRecord | undefined> {
  const versions = versionsOf(db, tenant, name);
  const rows = await (revision.type === "version"
    ? versions.where("version", "=", revision.version)
    : revision.type === "newest"
      ? versions.orderBy("version", "desc").limit(1)
      : versions.where("version", "=", (query) =>
          query
            .selectFrom("template_aliases")
            .select("version")
            .where("tenant", "=", tenant)
            .where("name", "=", name)
            .where("alias", "=", revision.alias),
        )
  ).execute();
  return (await withAliases(db, tenant, rows.map(readTemplateRow)))[0];
}

async function list(
  db: Db,
  tenant: string,
  after: string | undefined,
  limit: number,
): Promise<readonly TemplateSummary[]> {
  const newest = db
    .selectFrom("template_versions")
    .select((eb) => ["name", eb.fn.max("version").as("version")])
    .where("tenant", "=", tenant)
    .$if(after !== undefined, (query) => query.where("name", ">", after ?? ""))
    .groupBy("name")
    .orderBy("name")
    .limit(limit);
  const rows = await db
    .selectFrom("template_versions")
    .innerJoin(newest.as("newest"), (join) =>
      join
        .onRef("newest.name", "=", "template_versions.name")
        .onRef("newest.version", "=", "template_versions.version"),
    )
    .select(summaryColumns)
    .where("tenant", "=", tenant)
    .orderBy("template_versions.name")
    .execute();
  return await withAliases(db, tenant, rows.map(readSummaryRow));
}

/** The same templates, each with the aliases that point to it. */
async function withAliases<T extends { readonly name: string; readonly version: number }>(
  db: Db,
  tenant: string,
  templates: readonly T[],
): Promise<readonly (T & Pick<TemplateRecord, "aliases">)[]> {
  if (templates.length === 0) {
    return [];
  }
  const aliases = await db
    .selectFrom("template_aliases")
    .select(["name", "alias", "version"])
    .where("tenant", "=", tenant)
    .where("name", "in", [...new Set(templates.map(({ name }) => name))])
    .orderBy("alias")
    .execute();
  return templates.map((template) => ({
    ...template,
    aliases: aliases
      .filter(({ name, version }) => name === template.name && version === template.version)
      .map(({ alias }) => alias),
  }));
}

async function remove(
  access: SqlAccess,
  db: Db,
  tenant: string,
  name: string,
  version: number | undefined,
): Promise<"removed" | "aliased" | "absent"> {
  await hold(access, db, tenant, name);
  const aliases = db.deleteFrom("template_aliases").where("tenant", "=", tenant).where("name", "=", name);
  const versions = db.deleteFrom("template_versions").where("tenant", "=", tenant).where("name", "=", name);
  if (version === undefined) {
    await aliases.execute();
    return (await versions.returning("version").execute()).length > 0 ? "removed" : "absent";
  }
  const found = await get(db, tenant, name, { type: "version", version });
  if (found === undefined) {
    return "absent";
  }
  if (found.aliases.length > 0) {
    return "aliased";
  }
  await versions.where("version", "=", version).execute();
  return "removed";
}
