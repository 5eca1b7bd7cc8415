import { sql } from "kysely";
import type { Migration } from "./migration.ts";

/** Which template each job runs, to find them by it. */
export const templatesOfJobs: Migration = {
  name: "templates of jobs",
  statements: ({ key, int }) => [
    sql`alter table jobs add column template_name ${key}`,
    sql`alter table jobs add column template_version ${int}`,
    sql`create index jobs_by_template on jobs (tenant, template_name, create_time, id)
      where template_name is not null`,
  ],
};
