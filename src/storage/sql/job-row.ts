import type { Insertable } from "kysely";
import { z } from "zod";
import type { Attempt, JobRecord } from "../../domain/job-record.ts";
import { writeJson } from "../../lib/lossless-json.ts";
import { attemptSchema, failureSchema, imageSchema, json, outputSchema, resultSchema } from "./codecs.ts";
import type { JobInputs } from "./job-inputs.ts";
import type { JobTable } from "./schema.ts";

/** A job as it is kept, with what only the store knows of it. */
export interface StoredJob {
  readonly record: JobRecord;
  /** Number of calls that wait for it. */
  readonly attachedCount: number;
  /** Token of the lease under which it may be written to, if a backend has it. */
  readonly leaseToken?: number;
  /** The attempt as it was before the job was claimed last, if there was one. */
  readonly attemptBefore?: Attempt;
  /** The last write that was taken under a lease; it made the events from `first` to `last`. */
  readonly lastWrite?: { readonly id: string; readonly first: bigint; readonly last: bigint };
}

const int = z.int();
const time = int.transform((ms) => new Date(ms));
const sequence = int.transform((number) => BigInt(number));

const jobRow = z.object({
  id: z.string(),
  tenant: z.string(),
  request_id: z.string().nullable(),
  batch_id: z.string().nullable(),
  batch_index: int,
  reuse_key: z.string(),
  retention_ms: int,
  create_time: time,
  state: z.enum(["queued", "running", "cancelling", "succeeded", "failed", "cancelled", "expired"]),
  last_sequence: sequence,
  queue_deadline: time,
  attempt_number: int.nullable(),
  attempt_prompt_id: z.string().nullable(),
  attempt_backend: z.string().nullable(),
  attempt_fate: z.string().nullable(),
  attempt_before_json: json(attemptSchema).nullable(),
  start_time: time.nullable(),
  images_json: json(z.array(imageSchema)),
  outputs_json: json(z.array(outputSchema)).nullable(),
  failure_json: json(failureSchema).nullable(),
  result_json: json(resultSchema).nullable(),
  end_time: time.nullable(),
  expire_time: time.nullable(),
  attached_count: int,
  lease_token: int.nullable(),
  last_write_id: z.string().nullable(),
  last_write_first: sequence.nullable(),
  last_write_last: sequence.nullable(),
});

/**
 * Reads a row of `jobs`.
 *
 * @throws ZodError if it is none
 */
export function readJobRow(row: unknown, inputs: JobInputs): StoredJob {
  const read = jobRow.parse(row);
  const attempt =
    read.attempt_number === null
      ? undefined
      : attemptSchema.parse({
          number: read.attempt_number,
          promptId: read.attempt_prompt_id,
          backend: read.attempt_backend,
          fate: read.attempt_fate,
        });
  const record: JobRecord = {
    id: read.id,
    tenant: read.tenant,
    requestId: read.request_id ?? "",
    ...(read.batch_id !== null && { batch: { id: read.batch_id, index: read.batch_index } }),
    ...inputs,
    reuseKey: read.reuse_key,
    retentionMs: read.retention_ms,
    createTime: read.create_time,
    state: read.state,
    lastSequence: read.last_sequence,
    queueDeadline: read.queue_deadline,
    ...(attempt && { attempt }),
    ...(read.start_time && { startTime: read.start_time }),
    images: read.images_json,
    outputs: read.outputs_json ?? [],
    ...(read.failure_json && { failure: read.failure_json }),
    ...(read.result_json && { result: read.result_json }),
    ...(read.end_time && { endTime: read.end_time }),
    ...(read.expire_time && { expireTime: read.expire_time }),
  };
  return {
    record,
    attachedCount: read.attached_count,
    ...(read.lease_token !== null && { leaseToken: read.lease_token }),
    ...(read.attempt_before_json && { attemptBefore: read.attempt_before_json }),
    ...(read.last_write_id !== null &&
      read.last_write_first !== null &&
      read.last_write_last !== null && {
        lastWrite: { id: read.last_write_id, first: read.last_write_first, last: read.last_write_last },
      }),
  };
}

/** The row of `jobs` that {@link readJobRow} reads as `job`. */
export function writeJobRow({
  record,
  attachedCount,
  leaseToken,
  attemptBefore,
  lastWrite,
}: StoredJob): Insertable<JobTable> {
  return {
    id: record.id,
    tenant: record.tenant,
    request_id: record.requestId || null,
    batch_id: record.batch?.id ?? null,
    batch_index: record.batch?.index ?? 0,
    reuse_key: record.reuseKey,
    retention_ms: record.retentionMs,
    create_time: record.createTime.getTime(),
    ...templateColumns(record),
    state: record.state,
    last_sequence: Number(record.lastSequence),
    queue_deadline: record.queueDeadline.getTime(),
    attempt_number: record.attempt?.number ?? null,
    attempt_prompt_id: record.attempt?.promptId ?? null,
    attempt_backend: record.attempt?.backend ?? null,
    attempt_fate: record.attempt?.fate ?? null,
    attempt_before_json: attemptBefore ? writeJson(attemptBefore) : null,
    start_time: record.startTime?.getTime() ?? null,
    images_json: writeJson(record.images),
    outputs_json: record.outputs.length > 0 ? writeJson(record.outputs) : null,
    failure_json: record.failure ? writeJson(record.failure) : null,
    result_json: record.result ? writeJson(record.result) : null,
    end_time: record.endTime?.getTime() ?? null,
    expire_time: record.expireTime?.getTime() ?? null,
    attached_count: attachedCount,
    lease_token: leaseToken ?? null,
    last_write_id: lastWrite?.id ?? null,
    last_write_first: lastWrite ? Number(lastWrite.first) : null,
    last_write_last: lastWrite ? Number(lastWrite.last) : null,
  };
}

/** For searching only: the template is part of the generation. */
function templateColumns({
  generation: { task },
}: JobRecord): Pick<Insertable<JobTable>, "template_name" | "template_version"> {
  return task.type === "template"
    ? { template_name: task.name, template_version: task.version }
    : { template_name: null, template_version: null };
}
