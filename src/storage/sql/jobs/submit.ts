import type { LastingEventData } from "../../../domain/job-event.ts";
import type { NewJob, Submission, SubmitOutcome } from "../../job-store.ts";
import type { StoredJob } from "../job-row.ts";
import type { Db } from "../schema.ts";
import { applyEvents, insertJobs, type JobContext } from "../stored-jobs.ts";
import { comparePositions, countJobs, positionOf } from "./queue.ts";
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
    const jobs = submission.jobs.map((job, index) => ({
      ...job,
      stored: toStoredJob(submission, job, index),
    }));
    const toQueue = jobs.filter(({ result }) => result === undefined).map(({ stored }) => stored.record);
    const positions = toQueue.map(positionOf).sort(comparePositions);
    const { queued, before, running } = await countJobs(db, positions[0]);
    if (positions.length > 0 && queued + positions.length > submission.maxQueued) {
      await giveRequestIdBack(db, submission);
      return { type: "full", queuedCount: queued };
    }
    const places = new Map(positions.map(({ id }, index) => [id, before + running + index]));
    const time = context.clock.now();
    const accepted = jobs.map((job) =>
      applyEvents(job.stored, firstEvents(job, places.get(job.id) ?? 0), time),
    );
    await insertBatch(db, submission);
    await insertJobs(context.access, db, accepted);
    return { type: "accepted", jobs: accepted.map(({ job }) => job.record) };
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

async function insertBatch(db: Db, { tenant, request, batchId, jobs: [first] }: Submission): Promise<void> {
  if (batchId === undefined || first === undefined) {
    return;
  }
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
      outputs: [],
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
        ...result.outputs.map((output) => ({ type: "output", output }) as const),
        { type: "completed", result },
      ];
}
