import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type Batch, BatchSchema } from "../../../gen/comfyrpc/v1/batch_pb.js";
import { type Job, JobSchema } from "../../../gen/comfyrpc/v1/job_pb.js";
import type { JobFilter as FilterMessage } from "../../../gen/comfyrpc/v1/job_service_pb.js";
import { JobState as StateMessage } from "../../../gen/comfyrpc/v1/job_state_pb.js";
import { hasEnded, type JobRecord } from "../../domain/job-record.ts";
import type { JobState } from "../../domain/job-state.ts";
import type { BatchRecord, JobFilter } from "../../storage/job-store.ts";
import { toStatusMessage } from "../errors.ts";
import { toOutputInit } from "./output.ts";
import { toImageInit, toResultMessage } from "./result.ts";
import { toSpecMessage } from "./spec.ts";
import { fromTimestamp } from "./time.ts";

/** How the API calls each state. */
export const messageState: Readonly<Record<JobState, StateMessage>> = {
  queued: StateMessage.QUEUED,
  running: StateMessage.RUNNING,
  cancelling: StateMessage.CANCELLING,
  succeeded: StateMessage.SUCCEEDED,
  failed: StateMessage.FAILED,
  cancelled: StateMessage.CANCELLED,
  expired: StateMessage.EXPIRED,
};

/** Writes a job, with its result if it has one. */
export function toJobMessage(job: JobRecord): Job {
  const { result } = job;
  return create(JobSchema, {
    ...jobInit(job),
    ...(result && { result: toResultMessage(job.id, result) }),
  });
}

/** Writes a job as it stands in a list or a batch: without its result. */
export function toListedJobMessage(job: JobRecord): Job {
  return create(JobSchema, jobInit(job));
}

function jobInit(job: JobRecord): MessageInitShape<typeof JobSchema> {
  const { batch, attempt, startTime, endTime, expireTime, failure } = job;
  return {
    jobId: job.id,
    state: messageState[job.state],
    labels: { ...job.labels },
    note: job.note,
    requestId: job.requestId,
    batchId: batch?.id ?? "",
    batchIndex: batch?.index ?? 0,
    resolvedSpec: toSpecMessage(job.generation),
    createTime: timestampFromDate(job.createTime),
    ...(startTime && { startTime: timestampFromDate(startTime) }),
    ...(endTime && { endTime: timestampFromDate(endTime) }),
    ...(expireTime && { expireTime: timestampFromDate(expireTime) }),
    attemptCount: attempt?.number ?? 0,
    backendName: attempt?.backend ?? "",
    images: job.images.map(toImageInit),
    outputs: job.outputs.map(toOutputInit),
    lastSequence: job.lastSequence,
    ...(failure && { error: toStatusMessage(failure, job.id) }),
  };
}

/** Writes a batch, its jobs without their results. */
export function toBatchMessage({ id, requestId, createTime, jobs }: BatchRecord): Batch {
  const ended = jobs.filter(hasEnded);
  const succeeded = ended.filter(({ state }) => state === "succeeded");
  return create(BatchSchema, {
    batchId: id,
    requestId,
    createTime: timestampFromDate(createTime),
    jobs: jobs.map(toListedJobMessage),
    ended: ended.length === jobs.length,
    succeededCount: succeeded.length,
    failedCount: ended.length - succeeded.length,
  });
}

/**
 * Reads which jobs to list.
 *
 * @throws ServiceError `INVALID_FIELD` if a time is none
 */
export function fromFilterMessage(filter: FilterMessage | undefined): JobFilter {
  if (filter === undefined) {
    return { states: [], labels: {} };
  }
  const { createTimeFrom, createTimeBefore, batchId, template, templateVersion } = filter;
  return {
    states: filter.states.flatMap((state) => domainState[state] ?? []),
    labels: filter.labels,
    ...(createTimeFrom && { createdFrom: fromTimestamp(createTimeFrom, "filter.create_time_from") }),
    ...(createTimeBefore && { createdBefore: fromTimestamp(createTimeBefore, "filter.create_time_before") }),
    ...(batchId !== "" && { batchId: batchId.toLowerCase() }),
    ...(template !== "" && {
      template: { name: template, ...(templateVersion !== 0 && { version: templateVersion }) },
    }),
  };
}

const domainState: Readonly<Record<StateMessage, JobState | undefined>> = {
  [StateMessage.UNSPECIFIED]: undefined, // refused by the schema
  [StateMessage.QUEUED]: "queued",
  [StateMessage.RUNNING]: "running",
  [StateMessage.CANCELLING]: "cancelling",
  [StateMessage.SUCCEEDED]: "succeeded",
  [StateMessage.FAILED]: "failed",
  [StateMessage.CANCELLED]: "cancelled",
  [StateMessage.EXPIRED]: "expired",
};
