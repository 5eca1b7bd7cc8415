import { sql } from "kysely";
import type { JobRecord } from "../../../domain/job-record.ts";
import type { BatchRecord, JobFilter } from "../../job-store.ts";
import { writeJson } from "../lossless-json.ts";
import { type JobContext, readRecords } from "../stored-jobs.ts";

/** `JobStore.get` */
export async function get(
  context: JobContext,
  tenant: string,
  jobId: string,
  signal: AbortSignal,
): Promise<JobRecord | undefined> {
  return await context.access.read(async (db) => {
    const rows = await db
      .selectFrom("jobs")
      .selectAll()
      .where("id", "=", jobId)
      .where("tenant", "=", tenant)
      .execute();
    const [record] = await readRecords(context, db, rows);
    return record;
  }, signal);
}

/** `JobStore.list` */
export async function list(
  context: JobContext,
  tenant: string,
  { states, labels, createdFrom, createdBefore, batchId, after }: JobFilter,
  limit: number,
  signal: AbortSignal,
): Promise<readonly JobRecord[]> {
  const [label, ...otherLabels] = Object.entries(labels);
  // With a label, its own index finds the newest: a job among a hundred thousand without it is found as fast as any.
  const source = label === undefined ? "jobs" : "label";
  const createTime = sql.ref<number>(`${source}.create_time`);
  const id = sql.ref<string>(label === undefined ? "jobs.id" : "label.job_id");
  return await context.access.read(async (db) => {
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
    for (const [key, value] of otherLabels) {
      query = query.where((eb) =>
        eb.exists(
          eb
            .selectFrom("job_labels as other")
            .select("other.job_id")
            .whereRef("other.job_id", "=", "jobs.id")
            .where("other.key", "=", key)
            .where("other.value_json", "=", writeJson(value)),
        ),
      );
    }
    if (states.length > 0) {
      query = query.where("jobs.state", "in", states);
    }
    if (createdFrom !== undefined) {
      query = query.where(createTime, ">=", createdFrom.getTime());
    }
    if (createdBefore !== undefined) {
      query = query.where(createTime, "<", createdBefore.getTime());
    }
    if (batchId !== undefined) {
      query = query.where("jobs.batch_id", "=", batchId);
    }
    if (after !== undefined) {
      query = query.where(
        sql<boolean>`(${createTime}, ${id}) < (${after.createTime.getTime()}, ${after.id})`,
      );
    }
    const rows = await query.orderBy(createTime, "desc").orderBy(id, "desc").limit(limit).execute();
    return await readRecords(context, db, rows);
  }, signal);
}

/** `JobStore.getBatch` */
export async function getBatch(
  context: JobContext,
  tenant: string,
  batchId: string,
  signal: AbortSignal,
): Promise<BatchRecord | undefined> {
  return await context.access.read(async (db) => {
    const batch = await db
      .selectFrom("batches")
      .selectAll()
      .where("id", "=", batchId)
      .where("tenant", "=", tenant)
      .executeTakeFirst();
    if (batch === undefined) {
      return undefined;
    }
    const rows = await db
      .selectFrom("jobs")
      .selectAll()
      .where("batch_id", "=", batchId)
      .orderBy("batch_index")
      .execute();
    return {
      id: batch.id,
      requestId: batch.request_id ?? "",
      createTime: new Date(batch.create_time),
      jobs: await readRecords(context, db, rows),
    };
  }, signal);
}

/** `JobStore.findReusable` */
export async function findReusable(
  context: JobContext,
  tenant: string,
  reuseKey: string,
  keptUntil: Date,
  signal: AbortSignal,
): Promise<JobRecord | undefined> {
  return await context.access.read(async (db) => {
    const rows = await db
      .selectFrom("jobs")
      .selectAll()
      .where("tenant", "=", tenant)
      .where("reuse_key", "=", reuseKey)
      .where(sql<boolean>`jobs.state = 'succeeded'`)
      .where("expire_time", ">=", keptUntil.getTime())
      .orderBy("create_time", "desc")
      .orderBy("id", "desc")
      .limit(1)
      .execute();
    const [record] = await readRecords(context, db, rows);
    return record;
  }, signal);
}
