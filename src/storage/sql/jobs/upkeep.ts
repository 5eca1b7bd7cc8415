import { type RawBuilder, sql } from "kysely";
import type { LastingEventData } from "../../../domain/job-event.ts";
import type { JobFailure } from "../../../domain/job-failure.ts";
import { endStateFor, leftBehindBy } from "../../../domain/job-record.ts";
import type { JobChange, RescueOptions } from "../../job-store.ts";
import type { StoredJob } from "../job-row.ts";
import { type Db, isQueued, isWithBackend } from "../schema.ts";
import type { SqlDialect } from "../sql-dialect.ts";
import {
  applyEvents,
  type ChangedJob,
  type JobContext,
  readJobs,
  updateJobs,
  withFate,
} from "../stored-jobs.ts";
import { comparePositions, countJobs, positionOf } from "./queue.ts";

// All of these may be called by several replicas at once: each leaves out what another one holds, and does so little at
// a time that nobody waits long for it.

/** `JobStore.expireQueued` */
export function expireQueued(
  context: JobContext,
  now: Date,
  failure: JobFailure,
  limit: number,
  signal: AbortSignal,
): Promise<readonly JobChange[]> {
  return failQueued(
    context,
    sql`queue_deadline <= ${now.getTime()}`,
    "queue_deadline",
    failure,
    limit,
    signal,
  );
}

/** `JobStore.failAttached` */
export async function failAttached(
  context: JobContext,
  jobIds: readonly string[],
  failure: JobFailure,
  signal: AbortSignal,
): Promise<readonly JobChange[]> {
  if (jobIds.length === 0) {
    return [];
  }
  const condition = sql<boolean>`attached_count > 0 and id in (${sql.join(jobIds)})`;
  return await failQueued(context, condition, "id", failure, jobIds.length, signal);
}

async function failQueued(
  context: JobContext,
  condition: RawBuilder<boolean>,
  /** That of the index which is made for this condition, so that SQLite takes that one. */
  order: "queue_deadline" | "id",
  failure: JobFailure,
  limit: number,
  signal: AbortSignal,
): Promise<readonly JobChange[]> {
  const { transact, dialect } = context.access;
  return await transact(async (db) => {
    const rows = await db
      .selectFrom("jobs")
      .selectAll()
      .where(isQueued)
      .where(condition)
      .orderBy(order)
      .limit(limit)
      .$call((query) => dialect.lock(query, "update skip locked"))
      .execute();
    const time = context.clock.now();
    const changes = (await readJobs(context, db, rows)).map((job) =>
      applyEvents(job, [{ type: "failed", state: endStateFor(failure, "queued"), failure }], time),
    );
    await updateJobs(context.access, db, changes);
    return changes.map(toJobChange);
  }, signal);
}

/**
 * `JobStore.rescueUndriven`
 *
 * The leases are held first, so that nobody can take one of those backends, and adopt its jobs, while these are put back;
 * and the jobs are looked for only then, so that those which somebody has just adopted are not among them.
 */
export async function rescueUndriven(
  context: JobContext,
  options: RescueOptions,
  signal: AbortSignal,
): Promise<readonly JobChange[]> {
  const { transact, dialect } = context.access;
  return await transact(async (db) => {
    const backends = await holdUndriven(dialect, db, options.undrivenMs);
    if (backends.length === 0) {
      return [];
    }
    const rows = await db
      .selectFrom("jobs")
      .selectAll()
      .where(isWithBackend)
      .where("attempt_backend", "in", backends)
      .limit(options.limit)
      .$call((query) => dialect.lock(query, "update skip locked"))
      .execute();
    const jobs = await readJobs(context, db, rows);
    const changes = await rescue(db, jobs, options, context.clock.now());
    await updateJobs(context.access, db, changes);
    return changes.map(toJobChange);
  }, signal);
}

async function holdUndriven(dialect: SqlDialect, db: Db, undrivenMs: number): Promise<readonly string[]> {
  const rows = await db
    .selectFrom("leases")
    .select("backend")
    .where("driven_until", "<=", sql<number>`${dialect.nowMs()} - ${sql.lit(undrivenMs)}`)
    .where((eb) =>
      eb.exists(
        eb
          .selectFrom("jobs")
          .select("jobs.id")
          .where(isWithBackend)
          .whereRef("jobs.attempt_backend", "=", "leases.backend"),
      ),
    )
    .$call((query) => dialect.lock(query, "update skip locked"))
    .execute();
  return rows.map(({ backend }) => backend);
}

async function rescue(
  db: Db,
  jobs: readonly StoredJob[],
  { maxAttempts, failure, queueDeadline }: RescueOptions,
  time: Date,
): Promise<readonly ChangedJob[]> {
  const inOrder = jobs.toSorted((a, b) => comparePositions(positionOf(a.record), positionOf(b.record)));
  const changes: ChangedJob[] = [];
  let requeued = 0;
  for (const job of inOrder) {
    const end = endOfUndriven(job, maxAttempts, failure);
    if (end !== undefined) {
      changes.push(applyEvents(withFate(job, "unknown"), [end], time));
      continue;
    }
    const { before, running } = await countJobs(db, positionOf(job.record));
    const othersRunning = running - jobs.length; // none of these is written yet
    const jobsAhead = before + requeued + othersRunning;
    const attempt = (job.record.attempt?.number ?? 0) + 1;
    const { job: queued, events } = applyEvents(job, [{ type: "queued", jobsAhead, attempt }], time);
    const waiting = withFate(queued, "unknown");
    changes.push({ job: { ...waiting, record: { ...waiting.record, queueDeadline } }, events });
    requeued++;
  }
  return changes;
}

/** With which event a job ends whose backend nobody drives; `undefined` if it is to be tried again. */
function endOfUndriven(
  { record: { state, failure: cause, attempt } }: StoredJob,
  maxAttempts: number,
  failure: JobFailure,
): LastingEventData | undefined {
  if (state === "cancelling") {
    const reason = cause ?? failure;
    return { type: "failed", state: endStateFor(reason, state), failure: reason };
  }
  return attempt !== undefined && attempt.number >= maxAttempts
    ? { type: "failed", state: endStateFor(failure, state), failure }
    : undefined;
}

function toJobChange({ job: { record }, events }: ChangedJob): JobChange {
  const leftBehind = leftBehindBy(record);
  return { jobId: record.id, events, ...(leftBehind && { leftBehind }) };
}
