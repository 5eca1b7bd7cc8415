import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Image } from "../../../gen/comfyrpc/v1/image_pb.js";
import { type JobEvent, JobEventSchema } from "../../../gen/comfyrpc/v1/job_event_pb.js";
import { type Job, JobSchema } from "../../../gen/comfyrpc/v1/job_pb.js";
import { JobState } from "../../../gen/comfyrpc/v1/job_state_pb.js";
import { completedEvent, workEvents } from "./staged-events.ts";

/** An id as jobs have them; each `number` makes another. */
export function jobIdOf(number: number): string {
  return `0b5c7a30-58a5-4d1b-b0a8-${String(number).padStart(12, "0")}`;
}

/** A queued job for "a red fox" unless `init` says otherwise. */
export function jobOf(number: number, init: JobFields = {}): Job {
  return create(JobSchema, {
    jobId: jobIdOf(number),
    state: JobState.QUEUED,
    resolvedSpec: { prompt: "a red fox", seed: 42n, widthPx: 512, heightPx: 768, imageCount: 1 },
    createTime: timestampFromMs(Date.UTC(2026, 0, 2, 3, 4, 5)),
    ...init,
  });
}

type JobFields = Exclude<MessageInitShape<typeof JobSchema>, Job>;

/** `events` as those of job `number`, numbered as the service does. */
export function eventsOf(number: number, events: readonly EventInit[]): JobEvent[] {
  let sequence = 0n;
  return events.map((event) => {
    if (event.case !== "progress" && event.case !== "preview") sequence++;
    return create(JobEventSchema, { jobId: jobIdOf(number), sequence, event });
  });
}

type EventInit = NonNullable<MessageInitShape<typeof JobEventSchema>["event"]>;

/** The events of job `number` that makes `images`, which are left to be fetched by their ids. */
export function lifeOf(number: number, images: readonly Image[]): JobEvent[] {
  const made = images.map((image): EventInit => ({ case: "image", value: { image, chunked: false } }));
  return eventsOf(number, [...initsOf(workEvents()), ...made, ...initsOf([completedEvent(images)])]);
}

/** The events of job `number` that ends in `state` for `reason` while it runs. */
export function failureOf(number: number, state: JobState, error: StatusInit): JobEvent[] {
  return eventsOf(number, [...initsOf(workEvents()), { case: "failed", value: { state, error } }]);
}

type StatusInit = NonNullable<JobFields["error"]>;

function initsOf(responses: readonly { readonly event?: JobEvent | undefined }[]): EventInit[] {
  return responses.flatMap(({ event }) => (event ? [event.event] : []));
}
