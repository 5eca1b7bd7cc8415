import type { Attempt, JobRecord } from "../../../domain/job-record.ts";
import type { Claim, Lease } from "../../job-store.ts";
import type { StoredJob } from "../job-row.ts";
import { isQueued, isWithBackend } from "../schema.ts";
import { type JobContext, readJobs, readRecords, updateJobs, withAttempt } from "../stored-jobs.ts";
import { holdLease } from "./leases.ts";

/** `JobStore.claim` */
export async function claim(
  context: JobContext,
  lease: Lease,
  limit: number,
  newPromptId: () => string,
  signal: AbortSignal,
): Promise<readonly Claim[]> {
  const { transact, dialect } = context.access;
  return await transact(async (db) => {
    // A lease that has run out may be taken at any moment: what is claimed under it would be handed over at once.
    if (!(await holdLease(dialect, db, lease, { mustBeFresh: true }))) {
      return [];
    }
    const rows = await db
      .selectFrom("jobs")
      .selectAll()
      .where(isQueued)
      .orderBy("create_time")
      .orderBy("batch_index")
      .orderBy("id")
      .limit(limit)
      // Jobs that another claimer holds are its own in a moment; whoever holds one for another reason says so afterwards.
      .$call((query) => dialect.lock(query, "update skip locked"))
      .execute();
    const claims = (await readJobs(context, db, rows)).map((job) => give(job, lease, newPromptId));
    await updateJobs(
      context.access,
      db,
      claims.map(({ job }) => ({ job, events: [] })),
    );
    return claims.map(({ job, ...rest }) => ({ job: job.record, ...rest }));
  }, signal);
}

function give(
  job: StoredJob,
  { backend, token }: Lease,
  newPromptId: () => string,
): Omit<Claim, "job"> & { readonly job: StoredJob } {
  const { attempt: before } = job.record;
  const give = (attempt: Attempt): StoredJob => {
    const given = withAttempt(job, attempt);
    return {
      ...given,
      record: { ...given.record, state: "running" },
      leaseToken: token,
      ...(before && { attemptBefore: before }),
    };
  };
  if (before?.backend === backend && before.fate === "unknown") {
    return { job: give({ ...before, fate: "open" }), isRepeat: true };
  }
  const attempt = {
    number: (before?.number ?? 0) + 1,
    promptId: newPromptId(),
    backend,
    fate: "open",
  } as const;
  return {
    job: give(attempt),
    isRepeat: false,
    ...(before?.fate === "unknown" && {
      leftBehind: { backend: before.backend, promptId: before.promptId },
    }),
  };
}

/** `JobStore.adopt` */
export async function adopt(
  context: JobContext,
  lease: Lease,
  signal: AbortSignal,
): Promise<readonly JobRecord[]> {
  const { transact, dialect } = context.access;
  return await transact(async (db) => {
    if (!(await holdLease(dialect, db, lease, { mustBeFresh: false }))) {
      return [];
    }
    // In the order of their ids, as everybody does who holds several jobs and waits for some, so that no two wait for
    // each other.
    const rows = await db
      .selectFrom("jobs")
      .selectAll()
      .where(isWithBackend)
      .where("attempt_backend", "=", lease.backend)
      .orderBy("id")
      .$call((query) => dialect.lock(query, "update"))
      .execute();
    if (rows.length > 0) {
      await db
        .updateTable("jobs")
        .set({ lease_token: lease.token })
        .where(
          "id",
          "in",
          rows.map(({ id }) => id),
        )
        .execute();
    }
    return await readRecords(context, db, rows);
  }, signal);
}
