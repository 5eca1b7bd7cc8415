import { sql } from "kysely";
import type { JobRecord } from "../../../domain/job-record.ts";
import type { JobCounts } from "../../job-store.ts";
import { type Db, isQueued, isWithBackend } from "../schema.ts";
import type { JobContext } from "../stored-jobs.ts";

/** Where a job stands in the queue. */
export interface QueuePosition {
  readonly createTime: number;
  readonly batchIndex: number;
  readonly id: string;
}

/** What the queue of all tenants orders a job by. */
export function positionOf({ createTime, batch, id }: JobRecord): QueuePosition {
  return { createTime: createTime.getTime(), batchIndex: batch?.index ?? 0, id };
}

/** Orders positions as the queue does. */
export function comparePositions(a: QueuePosition, b: QueuePosition): number {
  return (
    a.createTime - b.createTime || a.batchIndex - b.batchIndex || (a.id < b.id ? -1 : Number(a.id > b.id))
  );
}

const orderKey = sql`(jobs.create_time, jobs.batch_index, jobs.id)`;
const keyOf = ({ createTime, batchIndex, id }: QueuePosition) => sql`(${createTime}, ${batchIndex}, ${id})`;

/** `JobStore.counts` */
export async function counts({ access: { read } }: JobContext, signal: AbortSignal): Promise<JobCounts> {
  const { queued, running } = await read((db) => countJobs(db), signal);
  return { queued, running };
}

/** How many jobs are queued, how many of those are before `position` if that is given, and how many a backend has. */
export async function countJobs(
  db: Db,
  position?: QueuePosition,
): Promise<JobCounts & { readonly before: number }> {
  return await db
    .selectFrom("jobs")
    .select((eb) => [
      eb.fn.countAll<number>().as("queued"),
      position === undefined
        ? eb.lit(0).as("before")
        : eb.fn
            .countAll<number>()
            .filterWhere(sql<boolean>`${orderKey} < ${keyOf(position)}`)
            .as("before"),
      eb
        .selectFrom("jobs")
        .select((running) => running.fn.countAll<number>().as("count"))
        .where(isWithBackend)
        .$asScalar()
        .$notNull()
        .as("running"),
    ])
    .where(isQueued)
    .executeTakeFirstOrThrow();
}

/** `JobStore.placesOf` */
export async function placesOf(
  { access: { read } }: JobContext,
  jobIds: readonly string[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, number>> {
  if (jobIds.length === 0) {
    signal.throwIfAborted();
    return new Map();
  }
  return await read(async (db) => {
    const queued = await db
      .selectFrom("jobs")
      .select(["create_time", "batch_index", "id"])
      .where(isQueued)
      .where("id", "in", jobIds)
      .execute();
    const last = queued
      .map(({ create_time, batch_index, id }) => ({ createTime: create_time, batchIndex: batch_index, id }))
      .sort(comparePositions)
      .at(-1);
    if (last === undefined) {
      return new Map();
    }
    const { running } = await countJobs(db);
    // One walk along the queue up to the last of them, however many they are.
    const ranked = db
      .selectFrom("jobs")
      .select(["id", sql<number>`row_number() over (order by create_time, batch_index, id)`.as("place")])
      .where(isQueued)
      .where(sql<boolean>`${orderKey} <= ${keyOf(last)}`);
    const places = await db
      .selectFrom(ranked.as("ranked"))
      .select(["id", "place"])
      .where("id", "in", jobIds)
      .execute();
    return new Map(places.map(({ id, place }) => [id, running + place - 1]));
  }, signal);
}
