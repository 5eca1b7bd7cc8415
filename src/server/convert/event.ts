import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type JobEvent as JobEventMessage, JobEventSchema } from "../../../gen/comfyrpc/v1/job_event_pb.js";
import type { JobEvent, JobEventData } from "../../domain/job-event.ts";
import { toStatusMessage } from "../errors.ts";
import { messageFormat } from "./format.ts";
import { messageState } from "./job.ts";
import { toOutputInit } from "./output.ts";
import { toBackendInit, toImageInit, toResultMessage } from "./result.ts";
import { toSpecMessage } from "./spec.ts";
import { toDuration } from "./time.ts";

/** What a `JobEvent` of the API may hold. */
export type EventInit = NonNullable<MessageInitShape<typeof JobEventSchema>["event"]>;

/** Writes an event; an image has no data, and is not announced as `chunked`. */
export function toEventMessage(jobId: string, event: JobEvent): JobEventMessage {
  return wrapEvent(jobId, event, eventInit(jobId, event.data));
}

/** Writes what `init` says as the event that `event` is. */
export function wrapEvent(jobId: string, { sequence, time }: JobEvent, init: EventInit): JobEventMessage {
  return create(JobEventSchema, { sequence, emitTime: timestampFromDate(time), jobId, event: init });
}

function eventInit(jobId: string, data: JobEventData): EventInit {
  switch (data.type) {
    case "accepted":
      return { case: "accepted", value: { resolvedSpec: toSpecMessage(data.generation) } };
    case "queued":
    case "place":
      return { case: "queued", value: { jobsAhead: data.jobsAhead, attempt: data.attempt } };
    case "started":
      return {
        case: "started",
        value: {
          backend: toBackendInit(data.backend),
          attempt: data.attempt,
          nodeCount: data.nodeCount,
          cachedNodeCount: data.cachedNodeCount,
        },
      };
    case "nodeStarted":
      return {
        case: "nodeStarted",
        value: { nodeId: data.nodeId, classType: data.classType, title: data.title },
      };
    case "progress":
      return {
        case: "progress",
        value: {
          nodeId: data.nodeId,
          step: data.step,
          steps: data.steps,
          fraction: data.fraction,
          elapsed: toDuration(data.elapsedMs),
          ...(data.remainingMs === undefined ? {} : { remaining: toDuration(data.remainingMs) }),
        },
      };
    case "preview": {
      const { type: _, ...preview } = data;
      return { case: "preview", value: { ...preview, format: messageFormat[data.format] } };
    }
    case "image":
      return { case: "image", value: { image: toImageInit(data.image), chunked: false } };
    case "output":
      return { case: "output", value: { output: toOutputInit(data.output) } };
    case "cancelling":
      return { case: "cancelling", value: { reason: toStatusMessage(data.failure, jobId) } };
    case "completed":
      return { case: "completed", value: { result: toResultMessage(jobId, data.result) } };
    case "failed":
      return {
        case: "failed",
        value: { state: messageState[data.state], error: toStatusMessage(data.failure, jobId) },
      };
  }
}
