import type { Submission, SubmitOutcome } from "../../job-store.ts";
import type { Db } from "../schema.ts";
import { type JobContext, readRecords } from "../stored-jobs.ts";

/** What tells whether a submission is a repeat. */
export type RepeatKey = Pick<NonNullable<Submission["request"]>, "id" | "fingerprint">;

/** What becomes of a submission whose request id is taken. */
export type RepeatOutcome = Extract<SubmitOutcome, { type: "repeated" | "conflict" }>;

/** `JobStore.findRepeat` */
export async function findRepeat(
  context: JobContext,
  tenant: string,
  request: RepeatKey,
  attached: boolean,
  signal: AbortSignal,
): Promise<RepeatOutcome | undefined> {
  return await context.access.transact((db) => findEarlier(context, db, tenant, request, attached), signal);
}

/** The same within a transaction. */
export async function findEarlier(
  context: JobContext,
  db: Db,
  tenant: string,
  { id, fingerprint }: RepeatKey,
  attached: boolean,
): Promise<RepeatOutcome | undefined> {
  const earlier = await db
    .selectFrom("requests")
    .select(["fingerprint", "batch_id"])
    .where("tenant", "=", tenant)
    .where("id", "=", id)
    .executeTakeFirst();
  if (earlier === undefined) {
    return undefined;
  }
  if (earlier.fingerprint !== fingerprint) {
    return { type: "conflict" };
  }
  if (attached) {
    await db
      .updateTable("jobs")
      .set((eb) => ({ attached_count: eb("attached_count", "+", 1) }))
      .where("tenant", "=", tenant)
      .where("request_id", "=", id)
      .where("end_time", "is", null)
      .execute();
  }
  const rows = await db
    .selectFrom("jobs")
    .selectAll()
    .where("tenant", "=", tenant)
    .where("request_id", "=", id)
    .orderBy("batch_index")
    .execute();
  return {
    type: "repeated",
    jobs: await readRecords(context, db, rows),
    batchId: earlier.batch_id ?? undefined,
  };
}
