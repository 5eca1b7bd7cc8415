import { type RawBuilder, type SelectQueryBuilder, sql } from "kysely";
import type { JobRecord } from "../../../domain/job-record.ts";
import type { JobState } from "../../../domain/job-state.ts";
import { writeJson } from "../../../lib/lossless-json.ts";
import type { JobFilter } from "../../job-store.ts";
import type { Db, JobTable, Tables } from "../schema.ts";
import { type JobContext, readRecords } from "../stored-jobs.ts";

/** `JobStore.list` */
export async function list(
  context: JobContext,
  tenant: string,
  filter: JobFilter,
  limit: number,
  signal: AbortSignal,
): Promise<readonly JobRecord[]> {
  return await context.access.read(async (db) => {
    const labels = await rarestFirst(db, tenant, Object.entries(filter.labels));
    const states = filter.states.length > 0 ? [...new Set(filter.states)] : [undefined];
    // Of several states, the newest of each and then the newest of those: there is an index that finds the newest of one
    // state, and none for several. It is one statement, so that no job is missed that changes from one to another.
    const [first, ...others] = states.map((state) =>
      db.selectFrom(newest(db, { tenant, filter, labels, state, limit }).as("newest")).selectAll("newest"),
    );
    if (first === undefined) {
      return [];
    }
    const union = others.reduce((all, one) => all.unionAll(one), first);
    const rows = await db
      .selectFrom(union.as("jobs"))
      .selectAll("jobs")
      .orderBy("create_time", "desc")
      .orderBy("id", "desc")
      .limit(limit)
      .execute();
    return await readRecords(context, db, rows);
  }, signal);
}

type Label = readonly [key: string, value: string];

interface Search {
  readonly tenant: string;
  readonly filter: JobFilter;
  /** Those of the filter, in the order in which to look at them. */
  readonly labels: readonly Label[];
  /** `undefined`: any. */
  readonly state: JobState | undefined;
  readonly limit: number;
}

/** The newest jobs that fit. With labels, the index of the first one leads to them. */
function newest(
  db: Db,
  { tenant, filter, labels: [label, ...otherLabels], state, limit }: Search,
): SelectQueryBuilder<Tables, "jobs", JobTable> {
  const { createdFrom, createdBefore, batchId, template, after } = filter;
  const createTime = sql.ref<number>(label === undefined ? "jobs.create_time" : "label.create_time");
  const id = sql.ref<string>(label === undefined ? "jobs.id" : "label.job_id");
  const conditions: RawBuilder<boolean>[] = [
    ...(state === undefined ? [] : [sql<boolean>`jobs.state = ${state}`]),
    ...(createdFrom === undefined ? [] : [sql<boolean>`${createTime} >= ${createdFrom.getTime()}`]),
    ...(createdBefore === undefined ? [] : [sql<boolean>`${createTime} < ${createdBefore.getTime()}`]),
    ...(batchId === undefined ? [] : [sql<boolean>`jobs.batch_id = ${batchId}`]),
    ...(template === undefined ? [] : [sql<boolean>`jobs.template_name = ${template.name}`]),
    ...(template?.version === undefined ? [] : [sql<boolean>`jobs.template_version = ${template.version}`]),
    ...(after === undefined
      ? []
      : [sql<boolean>`(${createTime}, ${id}) < (${after.createTime.getTime()}, ${after.id})`]),
    ...otherLabels.map(
      ([key, value]) => sql<boolean>`exists (
        select 1 from job_labels as other
        where other.job_id = jobs.id and other.key = ${key} and other.value_json = ${writeJson(value)}
      )`,
    ),
  ];
  let query = db.selectFrom("jobs").selectAll("jobs").where("jobs.tenant", "=", tenant);
  if (label !== undefined) {
    const [key, value] = label;
    query = query.innerJoin("job_labels as label", (join) =>
      join
        .onRef("label.job_id", "=", "jobs.id")
        .on("label.tenant", "=", tenant)
        .on("label.key", "=", key)
        .on("label.value_json", "=", writeJson(value)),
    );
  }
  return query
    .where((eb) => eb.and(conditions))
    .orderBy(createTime, "desc")
    .orderBy(id, "desc")
    .limit(limit);
}

/** Beyond this many jobs, labels count as equally frequent. */
const manyJobs = 1_000;

/**
 * Puts the label first that the fewest jobs have. A search by a project that all jobs belong to and by a user who has few
 * would else look through all.
 */
async function rarestFirst(db: Db, tenant: string, labels: readonly Label[]): Promise<readonly Label[]> {
  if (labels.length < 2) {
    return labels;
  }
  const counted: { readonly label: Label; readonly count: number }[] = [];
  for (const label of labels) {
    const [key, value] = label;
    const some = db
      .selectFrom("job_labels")
      .select("job_id")
      .where("tenant", "=", tenant)
      .where("key", "=", key)
      .where("value_json", "=", writeJson(value))
      .limit(manyJobs);
    const { count } = await db
      .selectFrom(some.as("some"))
      .select((eb) => eb.fn.countAll<number>().as("count"))
      .executeTakeFirstOrThrow();
    counted.push({ label, count });
  }
  return counted.sort((a, b) => a.count - b.count).map(({ label }) => label);
}
