import type { LastingEvent } from "../../../domain/job-event.ts";
import { hasEnded } from "../../../domain/job-record.ts";
import type { JobWrite, Lease, WriteOutcome } from "../../job-store.ts";
import type { StoredJob } from "../job-row.ts";
import type { Db } from "../schema.ts";
import {
  applyEvents,
  type ChangedJob,
  isWithBackend,
  type JobContext,
  readJobs,
  updateJobs,
  withAttempt,
  withFate,
} from "../stored-jobs.ts";
import { selectEvents } from "./events.ts";

/** `JobStore.record` */
export async function record(
  context: JobContext,
  writes: readonly JobWrite[],
  signal: AbortSignal,
): Promise<readonly WriteOutcome[]> {
  return await context.access.transact(async (db) => {
    const jobs = await holdJobs(context, db, writes);
    const changes = new Map<string, ChangedJob>();
    const time = context.clock.now();
    const outcomes: WriteOutcome[] = [];
    for (const write of writes) {
      const job = jobs.get(write.jobId);
      if (job?.lastWrite?.id === write.writeId) {
        const earlier = changes.get(write.jobId)?.events ?? [];
        outcomes.push({ type: "taken", events: await eventsOfLastWrite(db, job, earlier), job: job.record });
        continue;
      }
      const taken = job && take(context, job, write, time);
      if (taken === undefined) {
        outcomes.push({ type: "refused" });
        continue;
      }
      jobs.set(write.jobId, taken.job);
      const earlier = changes.get(write.jobId)?.events ?? [];
      changes.set(write.jobId, { job: taken.job, events: [...earlier, ...taken.events] });
      outcomes.push({ type: "taken", events: taken.events, job: taken.job.record });
    }
    await updateJobs(context.access, db, [...changes.values()]);
    return outcomes;
  }, signal);
}

/** The jobs that are written to, held until the transaction ends, in the order of their ids: see {@link adopt}. */
async function holdJobs(
  context: JobContext,
  db: Db,
  writes: readonly JobWrite[],
): Promise<Map<string, StoredJob>> {
  const ids = [...new Set(writes.map(({ jobId }) => jobId))];
  if (ids.length === 0) {
    return new Map();
  }
  const rows = await db
    .selectFrom("jobs")
    .selectAll()
    .where("id", "in", ids)
    .orderBy("id")
    .$call((query) => context.access.dialect.lock(query, "update"))
    .execute();
  return new Map((await readJobs(context, db, rows)).map((job) => [job.record.id, job]));
}

/** What becomes of `job` by `write`; `undefined` if that is refused. */
function take(
  { logger }: JobContext,
  job: StoredJob,
  { lease, writeId, events, attemptFate, queueDeadline }: JobWrite,
  time: Date,
): ChangedJob | undefined {
  if (!isUnder(job, lease)) {
    return undefined;
  }
  let changed: ChangedJob;
  try {
    changed = applyEvents(job, events, time);
  } catch (error) {
    // Others write to a job too: while its driver reported an end, a caller may have asked for another one.
    logger.debug({ err: error, jobId: job.record.id }, "a write that came too late was refused");
    return undefined;
  }
  const lastWrite = {
    id: writeId,
    first: job.record.lastSequence + 1n,
    last: changed.job.record.lastSequence,
  };
  let next: StoredJob = { ...changed.job, lastWrite };
  if (next.record.state === "queued") {
    next =
      attemptFate === "never"
        ? withAttempt(next, job.attemptBefore)
        : withFate(next, attemptFate ?? "unknown");
  }
  if (queueDeadline !== undefined && !hasEnded(next.record)) {
    next = { ...next, record: { ...next.record, queueDeadline } };
  }
  return { job: next, events: changed.events };
}

/** Tokens are of a backend: two may have the same one. */
function isUnder({ record, leaseToken }: StoredJob, { backend, token }: Lease): boolean {
  return isWithBackend(record) && leaseToken === token && record.attempt?.backend === backend;
}

async function eventsOfLastWrite(
  db: Db,
  { record, lastWrite }: StoredJob,
  notWrittenYet: readonly LastingEvent[],
): Promise<readonly LastingEvent[]> {
  if (lastWrite === undefined || lastWrite.last < lastWrite.first) {
    return [];
  }
  const { first, last } = lastWrite;
  const isOfThisBatch = notWrittenYet.some(({ sequence }) => sequence === first);
  return isOfThisBatch
    ? notWrittenYet.filter(({ sequence }) => sequence >= first && sequence <= last)
    : await selectEvents(db, record.id, first - 1n, last);
}
