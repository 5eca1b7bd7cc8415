import { endStateFor } from "../../../domain/job-record.ts";
import type { StopOutcome, StopRequest } from "../../job-store.ts";
import { applyEvents, type JobContext, readJobs, updateJobs } from "../stored-jobs.ts";

/** `JobStore.stop` */
export async function stop(
  context: JobContext,
  { tenant, jobId, failure, onlyIfUnattached = false }: StopRequest,
  signal: AbortSignal,
): Promise<StopOutcome | undefined> {
  const { transact, dialect } = context.access;
  return await transact(async (db) => {
    const rows = await db
      .selectFrom("jobs")
      .selectAll()
      .where("id", "=", jobId)
      .$if(tenant !== undefined, (query) => query.where("tenant", "=", tenant ?? ""))
      .$call((query) => dialect.lock(query, "update"))
      .execute();
    const [job] = await readJobs(context, db, rows);
    if (job === undefined) {
      return undefined;
    }
    const { state } = job.record;
    const canStop = state === "queued" || state === "running";
    if (!canStop || (onlyIfUnattached && job.attachedCount > 0)) {
      return { foundIn: state, job: job.record, events: [] };
    }
    const data =
      state === "queued"
        ? ({ type: "failed", state: endStateFor(failure, state), failure } as const)
        : ({ type: "cancelling", failure } as const);
    const changed = applyEvents(job, [data], context.clock.now());
    await updateJobs(context.access, db, [changed]);
    return { foundIn: state, job: changed.job.record, events: changed.events };
  }, signal);
}

/** `JobStore.attach` */
export async function attach(
  { access: { transact } }: JobContext,
  jobId: string,
  signal: AbortSignal,
): Promise<void> {
  await transact(
    (db) =>
      db
        .updateTable("jobs")
        .set((eb) => ({ attached_count: eb("attached_count", "+", 1) }))
        .where("id", "=", jobId)
        .where("end_time", "is", null)
        .execute(),
    signal,
  );
}

/** `JobStore.detach` */
export async function detach(
  { access: { transact } }: JobContext,
  jobId: string,
  signal: AbortSignal,
): Promise<number | undefined> {
  const row = await transact(
    (db) =>
      db
        .updateTable("jobs")
        .set((eb) => ({
          attached_count: eb
            .case()
            .when("attached_count", ">", 0)
            .then(eb("attached_count", "-", 1))
            .else(0)
            .end(),
        }))
        .where("id", "=", jobId)
        .where("end_time", "is", null) // of one that has ended nobody asks: it would be a write for nothing
        .returning("attached_count")
        .executeTakeFirst(),
    signal,
  );
  return row?.attached_count;
}
