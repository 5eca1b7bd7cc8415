import { sql } from "kysely";
import type { JobRecord } from "../../../domain/job-record.ts";
import type { BatchRecord } from "../../job-store.ts";
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
