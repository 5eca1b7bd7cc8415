import type { LastingEventData } from "../../../domain/job-event.ts";
import type { JobRecord } from "../../../domain/job-record.ts";
import type { NewJob, Submission, SubmitOutcome } from "../../job-store.ts";
import type { StoredJob } from "../job-row.ts";
import type { Db } from "../schema.ts";
import { applyEvents, insertJobs, type JobContext } from "../stored-jobs.ts";
import { comparePositions, countQueued, countRunning, positionOf } from "./queue.ts";
import { findEarlier, type RepeatOutcome } from "./repeat.ts";

/**
 * `JobStore.submit`
 *
 * Whether there is room is seen before the jobs are written, and others may see the same at that moment: the queue may
 * grow beyond its bound by what is being submitted at once, on a database that does several things at a time.
 */
export async function submit(
  context: JobContext,
  submission: Submission,
  signal: AbortSignal,
): Promise<SubmitOutcome> {
  return await context.access.transact(async (db) => {
    // Of several with the same id, one comes through here; the others wait for what becomes of it.
    while (!(await takeRequestId(db, submission))) {
      const earlier = await selectRepeat(context, db, submission);
      if (earlier !== undefined) {
        return earlier;
      }
      // It is free after all: its time came between the two.
    }
    const toQueue = submission.jobs.filter(({ result }) => result === undefined).length;
    const queuedCount = toQueue === 0 ? 0 : await countQueued(db);
    if (queuedCount + toQueue > submission.maxQueued && toQueue > 0) {
      await giveRequestIdBack(db, submission);
      return { type: "full", queuedCount };
    }
    return { type: "accepted", jobs: await accept(context, db, submission) };
  }, signal);
}

/** What was accepted under the request id of `submission`, if anything was. */
async function selectRepeat(
  context: JobContext,
  db: Db,
  { tenant, request, jobs }: Submission,
): Promise<RepeatOutcome | undefined> {
  const attached = jobs.some((job) => job.attached);
  return request && (await findEarlier(context, db, tenant, request, attached));
}

/** Returns false if the id is taken. */
async function takeRequestId(db: Db, { tenant, request, batchId }: Submission): Promise<boolean> {
  if (request === undefined) {
    return true;
  }
  const row = await db
    .insertInto("requests")
    .values({
      tenant,
      id: request.id,
      fingerprint: request.fingerprint,
      batch_id: batchId ?? null,
      kept_until: request.keptUntil.getTime(),
    })
    .onConflict((conflict) => conflict.doNothing())
    .returning("id")
    .executeTakeFirst();
  return row !== undefined;
}

/** For others that wait for this transaction, it is then as if it had not been taken. */
async function giveRequestIdBack(db: Db, { tenant, request }: Submission): Promise<void> {
  if (request !== undefined) {
    await db.deleteFrom("requests").where("tenant", "=", tenant).where("id", "=", request.id).execute();
  }
}

async function accept(
  { access, clock }: JobContext,
  db: Db,
  submission: Submission,
): Promise<readonly JobRecord[]> {
  const { tenant, request, batchId, jobs } = submission;
  const [first] = jobs;
  if (batchId !== undefined && first !== undefined) {
    await db
      .insertInto("batches")
      .values({
        id: batchId,
        tenant,
        request_id: request?.id ?? null,
        create_time: first.createTime.getTime(),
      })
      .execute();
  }
  const fresh = jobs.map((job, index) => ({ job, stored: toStoredJob(submission, job, index) }));
  const places = await placesOfNew(
    db,
    fresh.filter(({ job }) => job.result === undefined).map(({ stored }) => stored.record),
  );
  const time = clock.now();
  const accepted = fresh.map(({ job, stored }) =>
    applyEvents(stored, firstEvents(job, places.get(job.id) ?? 0), time),
  );
  await insertJobs(access, db, accepted);
  return accepted.map(({ job }) => job.record);
}

function toStoredJob({ tenant, request, batchId }: Submission, job: NewJob, index: number): StoredJob {
  const { attached, result, ...asked } = job;
  return {
    record: {
      ...asked,
      tenant,
      requestId: request?.id ?? "",
      ...(batchId !== undefined && { batch: { id: batchId, index } }),
      state: "queued",
      lastSequence: 0n,
      images: [],
    },
    attachedCount: attached ? 1 : 0,
  };
}

function firstEvents({ generation, result }: NewJob, jobsAhead: number): readonly LastingEventData[] {
  return result === undefined
    ? [
        { type: "accepted", generation },
        { type: "queued", jobsAhead, attempt: 1 },
      ]
    : [
        { type: "accepted", generation },
        ...result.images.map((image) => ({ type: "image", image }) as const),
        { type: "completed", result },
      ];
}

/** How many jobs are before each of these, which are about to be queued. */
async function placesOfNew(db: Db, records: readonly JobRecord[]): Promise<ReadonlyMap<string, number>> {
  const positions = records.map(positionOf).sort(comparePositions);
  const [first] = positions;
  if (first === undefined) {
    return new Map();
  }
  const before = (await countQueued(db, first)) + (await countRunning(db));
  return new Map(positions.map(({ id }, index) => [id, before + index]));
}
