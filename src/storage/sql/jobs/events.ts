import { z } from "zod";
import type { LastingEvent } from "../../../domain/job-event.ts";
import { eventDataSchema, json } from "../codecs.ts";
import type { Db } from "../schema.ts";
import type { JobContext } from "../stored-jobs.ts";

const eventRow = z.object({ sequence: z.int(), time: z.int(), data_json: json(eventDataSchema) }).transform(
  ({ sequence, time, data_json }): LastingEvent => ({
    sequence: BigInt(sequence),
    time: new Date(time),
    data: data_json,
  }),
);

/** `JobStore.readEvents` */
export async function readEvents(
  { access: { read } }: JobContext,
  jobId: string,
  after: bigint,
  signal: AbortSignal,
): Promise<readonly LastingEvent[] | undefined> {
  return await read(async (db) => {
    const events = await selectEvents(db, jobId, after);
    // Every job has events, but perhaps none after that one.
    return events.length > 0 || (await exists(db, jobId)) ? events : undefined;
  }, signal);
}

/**
 * Events of a job numbered above `after`, and up to `last` if given. Numbers are given to events while their job is
 * held, so that they become visible in their order: there is no gap in what this returns.
 */
export async function selectEvents(
  db: Db,
  jobId: string,
  after: bigint,
  last?: bigint,
): Promise<readonly LastingEvent[]> {
  const rows = await db
    .selectFrom("job_events")
    .select(["sequence", "time", "data_json"])
    .where("job_id", "=", jobId)
    .where("sequence", ">", toInt(after))
    .$if(last !== undefined, (query) => query.where("sequence", "<=", toInt(last ?? 0n)))
    .orderBy("sequence")
    .execute();
  return rows.map((row) => eventRow.parse(row));
}

async function exists(db: Db, jobId: string): Promise<boolean> {
  return (await db.selectFrom("jobs").select("id").where("id", "=", jobId).executeTakeFirst()) !== undefined;
}

/** No job has that many events; but callers may ask for those after any number. */
function toInt(sequence: bigint): number {
  return Number(sequence > Number.MAX_SAFE_INTEGER ? BigInt(Number.MAX_SAFE_INTEGER) : sequence);
}
