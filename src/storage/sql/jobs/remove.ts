import { sql } from "kysely";
import { isTerminal } from "../../../domain/job-state.ts";
import { pinLifetimeMs } from "../pins.ts";
import type { Db } from "../schema.ts";
import type { SqlDialect } from "../sql-dialect.ts";
import { type JobContext, readJobs } from "../stored-jobs.ts";

/** `JobStore.remove` */
export async function remove(
  context: JobContext,
  tenant: string,
  jobId: string,
  signal: AbortSignal,
): Promise<"removed" | "active" | "absent"> {
  const { transact, dialect } = context.access;
  return await transact(async (db) => {
    const rows = await db
      .selectFrom("jobs")
      .selectAll()
      .where("id", "=", jobId)
      .where("tenant", "=", tenant)
      .$call((query) => dialect.lock(query, "update"))
      .execute();
    const [job] = await readJobs(context, db, rows);
    if (job === undefined) {
      return "absent";
    }
    if (!isTerminal(job.record.state)) {
      return "active";
    }
    await endImagesOf(db, jobId);
    await deleteJobs(dialect, db, rows);
    return "removed";
  }, signal);
}

/**
 * Has the images of a job that no other job refers to end with it. One that was uploaded too, for longer than an image has
 * without a job, stays for that long.
 */
async function endImagesOf(db: Db, jobId: string): Promise<void> {
  const refersToIt = (isThisJob: boolean) =>
    sql<boolean>`exists (
      select 1 from job_assets where job_assets.tenant = assets.tenant and job_assets.asset_id = assets.id
        and (job_assets.job_id = ${jobId}) = ${sql.lit(isThisJob)}
    )`;
  await db
    .updateTable("assets")
    .set({ expire_time: sql<number>`create_time` })
    .where("origin_job_id", "is not", null)
    .where(sql<boolean>`expire_time <= create_time + ${sql.lit(pinLifetimeMs)}`)
    .where(refersToIt(true))
    .where(({ not }) => not(refersToIt(false)))
    .execute();
}

/** `JobStore.removeExpired` */
export async function removeExpired(
  { access: { transact, dialect } }: JobContext,
  now: Date,
  limit: number,
  signal: AbortSignal,
): Promise<number> {
  return await transact(async (db) => {
    const jobs = await db
      .selectFrom("jobs")
      .select(["id", "batch_id"])
      .where("expire_time", "<=", now.getTime())
      .limit(limit)
      .$call((query) => dialect.lock(query, "update skip locked"))
      .execute();
    await deleteJobs(dialect, db, jobs);
    await deleteRequests(dialect, db, now, limit);
    return jobs.length;
  }, signal);
}

interface RemovableJob {
  readonly id: string;
  readonly batch_id: string | null;
}

/** Deletes jobs that this transaction holds, with all that hangs on them, and their batches if they were the last. */
async function deleteJobs(dialect: SqlDialect, db: Db, jobs: readonly RemovableJob[]): Promise<void> {
  if (jobs.length === 0) {
    return;
  }
  await db
    .deleteFrom("jobs")
    .where(
      "id",
      "in",
      jobs.map(({ id }) => id),
    )
    .execute();
  const batchIds = [...new Set(jobs.flatMap(({ batch_id }) => batch_id ?? []))];
  if (batchIds.length === 0) {
    return;
  }
  // Held before looking whether jobs are left: of two who delete the last two jobs at once, the second sees here what
  // the first did. Else each would see the other's job, and the batch would stay for ever.
  await db
    .selectFrom("batches")
    .select("id")
    .where("id", "in", batchIds)
    .orderBy("id")
    .$call((query) => dialect.lock(query, "update"))
    .execute();
  await db
    .deleteFrom("batches")
    .where("id", "in", batchIds)
    .where((eb) =>
      eb.not(eb.exists(eb.selectFrom("jobs").select("jobs.id").whereRef("jobs.batch_id", "=", "batches.id"))),
    )
    .execute();
}

/** Deletes request ids whose time has come and whose jobs are gone. */
async function deleteRequests(dialect: SqlDialect, db: Db, now: Date, limit: number): Promise<void> {
  // A scalar subquery, and not `not exists`, which PostgreSQL may answer by reading all jobs.
  const anyJob = sql`(
    select jobs.id from jobs where jobs.tenant = requests.tenant and jobs.request_id = requests.id limit 1
  )`;
  const requests = await db
    .selectFrom("requests")
    .select(["tenant", "id"])
    .where("kept_until", "<=", now.getTime())
    .where(sql<boolean>`${anyJob} is null`)
    .orderBy("kept_until")
    .limit(limit)
    .$call((query) => dialect.lock(query, "update skip locked"))
    .execute();
  if (requests.length > 0) {
    const keys = sql.join(requests.map(({ tenant, id }) => sql`(${tenant}, ${id})`));
    await db.deleteFrom("requests").where(sql<boolean>`(tenant, id) in (values ${keys})`).execute();
  }
}
