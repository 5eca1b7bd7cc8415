import { sql } from "kysely";
import type { Migration } from "./migration.ts";

/** Workflow templates. */
export const templates: Migration = {
  name: "templates",
  statements: ({ key, text, int, tableOptions }) => [
    sql`create table templates (
      tenant ${key} not null,
      name ${key} not null,
      last_version ${int} not null,
      primary key (tenant, name)
    ) ${tableOptions}`,

    sql`create table template_versions (
      tenant ${key} not null,
      name ${key} not null,
      version ${int} not null,
      sha256 ${key} not null,
      create_time ${int} not null,
      description_json ${text} not null,
      graph_json ${text} not null,
      parameters_json ${text} not null,
      primary key (tenant, name, version),
      unique (tenant, name, sha256)
    ) ${tableOptions}`,

    sql`create table template_aliases (
      tenant ${key} not null,
      name ${key} not null,
      alias ${key} not null,
      version ${int} not null,
      primary key (tenant, name, alias),
      foreign key (tenant, name, version) references template_versions (tenant, name, version)
    ) ${tableOptions}`,
  ],
};
