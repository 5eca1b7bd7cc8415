import { sql } from "kysely";
import type { Migration } from "./migration.ts";

/** What jobs leave beside images. */
export const outputsOfJobs: Migration = {
  name: "outputs of jobs",
  statements: ({ text }) => [sql`alter table jobs add column outputs_json ${text}`],
};
