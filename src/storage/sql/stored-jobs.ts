import type { Insertable, Selectable } from "kysely";
import { ServiceError } from "../../domain/errors.ts";
import type { LastingEvent, LastingEventData } from "../../domain/job-event.ts";
import { type Attempt, afterEvent, type JobRecord } from "../../domain/job-record.ts";
import type { Clock } from "../../lib/clock.ts";
import { writeJson } from "../../lib/lossless-json.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { type JobInputReader, writeInputRow } from "./job-inputs.ts";
import { readJobRow, type StoredJob, writeJobRow } from "./job-row.ts";
import type { Db, JobAssetTable, JobTable } from "./schema.ts";
import type { SqlAccess } from "./sql-access.ts";
import type { SqlDialect } from "./sql-dialect.ts";

/** What the parts of the job store work with. */
export interface JobContext {
  readonly access: SqlAccess;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly inputs: JobInputReader;
}

/** A job as it is to be kept, with the events by which it became so. */
export interface ChangedJob {
  readonly job: StoredJob;
  readonly events: readonly LastingEvent[];
}

/** The jobs of these rows, in their order; without those that were removed meanwhile. */
export async function readJobs(
  { inputs }: JobContext,
  db: Db,
  rows: readonly Selectable<JobTable>[],
): Promise<readonly StoredJob[]> {
  if (rows.length === 0) {
    return [];
  }
  const inputsOf = await inputs.read(
    db,
    rows.map(({ id }) => id),
  );
  return rows.flatMap((row) => {
    const found = inputsOf.get(row.id);
    return found === undefined ? [] : [readJobRow(row, found)];
  });
}

/** As {@link readJobs}, for who wants to show them. */
export async function readRecords(
  context: JobContext,
  db: Db,
  rows: readonly Selectable<JobTable>[],
): Promise<readonly JobRecord[]> {
  return (await readJobs(context, db, rows)).map(({ record }) => record);
}

/** Whether a backend has the job. */
export function isWithBackend({ state }: JobRecord): boolean {
  return state === "running" || state === "cancelling";
}

/**
 * What becomes of `job` by these events.
 *
 * @throws Error if it cannot take one of them now
 */
export function applyEvents(job: StoredJob, data: readonly LastingEventData[], time: Date): ChangedJob {
  let { record } = job;
  const events = data.map((each): LastingEvent => {
    const event = { sequence: record.lastSequence + 1n, time, data: each };
    record = afterEvent(record, event);
    return event;
  });
  if (isWithBackend(record)) {
    return { job: { ...job, record }, events };
  }
  const { leaseToken: _, attemptBefore: __, ...rest } = job;
  return { job: { ...rest, record }, events };
}

/** The job with another last attempt, or none. */
export function withAttempt(job: StoredJob, attempt: Attempt | undefined): StoredJob {
  const { attempt: _, ...rest } = job.record;
  return { ...job, record: attempt ? { ...rest, attempt } : rest };
}

/** The job with what is known of its last attempt. */
export function withFate(job: StoredJob, fate: Attempt["fate"]): StoredJob {
  const { attempt } = job.record;
  return attempt ? withAttempt(job, { ...attempt, fate }) : job;
}

/** The most rows that go into one statement: parameters are limited to 32,766 by SQLite and 65,535 by PostgreSQL. */
const maxRows = 500;

/** Writes jobs that are new, with their events. */
export async function insertJobs(
  { dialect }: SqlAccess,
  db: Db,
  changes: readonly ChangedJob[],
): Promise<void> {
  const jobs = changes.map(({ job }) => job);
  for (const some of chunk(jobs)) {
    await db.insertInto("jobs").values(some.map(writeJobRow)).execute();
    await db
      .insertInto("job_inputs")
      .values(some.map(({ record }) => writeInputRow(record)))
      .execute();
  }
  const labels = jobs.flatMap(({ record: { id: job_id, tenant, createTime, labels } }) =>
    Object.entries(labels).map(([key, value]) => ({
      ...{ job_id, key, tenant },
      value_json: writeJson(value),
      create_time: createTime.getTime(),
    })),
  );
  for (const some of chunk(labels)) {
    await db.insertInto("job_labels").values(some).execute();
  }
  await insertEvents(db, changes);
  await insertAssets(dialect, db, changes.flatMap(assetsOfNew), { mayMiss: false });
}

/** Writes jobs that are there, and that this transaction holds, with their new events. */
export async function updateJobs(
  { dialect }: SqlAccess,
  db: Db,
  changes: readonly ChangedJob[],
): Promise<void> {
  for (const some of chunk(changes)) {
    // The rows are there, so that each insertion becomes an update: it is the one way to say different updates of many
    // rows in one statement that both databases understand.
    await db
      .insertInto("jobs")
      .values(some.map(({ job }) => writeJobRow(job)))
      .onConflict((conflict) =>
        conflict.column("id").doUpdateSet((eb) => ({
          state: eb.ref("excluded.state"),
          last_sequence: eb.ref("excluded.last_sequence"),
          queue_deadline: eb.ref("excluded.queue_deadline"),
          attempt_number: eb.ref("excluded.attempt_number"),
          attempt_prompt_id: eb.ref("excluded.attempt_prompt_id"),
          attempt_backend: eb.ref("excluded.attempt_backend"),
          attempt_fate: eb.ref("excluded.attempt_fate"),
          attempt_before_json: eb.ref("excluded.attempt_before_json"),
          start_time: eb.ref("excluded.start_time"),
          images_json: eb.ref("excluded.images_json"),
          outputs_json: eb.ref("excluded.outputs_json"),
          failure_json: eb.ref("excluded.failure_json"),
          result_json: eb.ref("excluded.result_json"),
          end_time: eb.ref("excluded.end_time"),
          expire_time: eb.ref("excluded.expire_time"),
          lease_token: eb.ref("excluded.lease_token"),
          last_write_id: eb.ref("excluded.last_write_id"),
          last_write_first: eb.ref("excluded.last_write_first"),
          last_write_last: eb.ref("excluded.last_write_last"),
        })),
      )
      .execute();
  }
  await insertEvents(db, changes);
  // Whoever reports an image or output has just kept its asset.
  await insertAssets(dialect, db, changes.flatMap(assetsOfEvents), { mayMiss: true });
}

async function insertEvents(db: Db, changes: readonly ChangedJob[]): Promise<void> {
  const events = changes.flatMap(({ job, events }) =>
    events.map(({ sequence, time, data }) => ({
      job_id: job.record.id,
      sequence: Number(sequence),
      time: time.getTime(),
      data_json: writeJson(data),
    })),
  );
  for (const some of chunk(events)) {
    await db.insertInto("job_events").values(some).execute();
  }
}

/** What a new job refers to: what its graph reads, and images and outputs of an earlier job. */
function assetsOfNew(change: ChangedJob): readonly Insertable<JobAssetTable>[] {
  const { id: job_id, tenant, plan } = change.job.record;
  const inputs = plan.inputs.map(({ assetId }) => ({ job_id, tenant, asset_id: assetId }));
  return [...inputs, ...assetsOfEvents(change)];
}

/** Images and outputs that are reported of a job. */
function assetsOfEvents({ job: { record }, events }: ChangedJob): readonly Insertable<JobAssetTable>[] {
  return events.flatMap(({ data }) =>
    assetsOf(data).map((asset_id) => ({ job_id: record.id, tenant: record.tenant, asset_id })),
  );
}

/**
 * Has jobs refer to assets, which keeps those.
 *
 * @throws ServiceError `ASSET_NOT_FOUND` if one is not there, unless it may miss
 */
async function insertAssets(
  dialect: SqlDialect,
  db: Db,
  assets: readonly Insertable<JobAssetTable>[],
  { mayMiss }: { readonly mayMiss: boolean },
): Promise<void> {
  for (const some of chunk(assets)) {
    // An asset that is not needed by anything is removed when its time has come. Who does so holds it, and looks for
    // references then: this either comes before that, or waits for it.
    const there = await db
      .selectFrom("assets")
      .select(["tenant", "id"])
      .where(
        "id",
        "in",
        some.map(({ asset_id }) => asset_id),
      )
      .orderBy("id")
      .orderBy("tenant")
      .$call((query) => dialect.lock(query, "share"))
      .execute();
    const isThere = ({ tenant, asset_id }: (typeof some)[number]) =>
      there.some((asset) => asset.id === asset_id && asset.tenant === tenant);
    if (!mayMiss && !some.every(isThere)) {
      throw new ServiceError(
        "ASSET_NOT_FOUND",
        "an image that the job needs is not there any more: it has just expired or was deleted",
      );
    }
    // Two of a job may be equal, and one may come again in another attempt.
    await db
      .insertInto("job_assets")
      .values(some)
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  }
}

/** Ids of the assets that an event tells of for the first time. */
function assetsOf(data: LastingEventData): readonly string[] {
  switch (data.type) {
    case "image":
      return [data.image.sha256, ...(data.image.thumbnail ? [data.image.thumbnail.sha256] : [])];
    case "output":
      return [data.output.sha256];
    default:
      return [];
  }
}

function chunk<T>(items: readonly T[]): readonly (readonly T[])[] {
  return Array.from({ length: Math.ceil(items.length / maxRows) }, (_, i) =>
    items.slice(i * maxRows, (i + 1) * maxRows),
  );
}
