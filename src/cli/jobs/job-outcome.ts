import type { JobEvent } from "../../../gen/comfyrpc/v1/job_event_pb.js";
import type { Job } from "../../../gen/comfyrpc/v1/job_pb.js";
import { JobState } from "../../../gen/comfyrpc/v1/job_state_pb.js";
import type { GenerationResult } from "../../../gen/comfyrpc/v1/result_pb.js";
import type { Status } from "../../../gen/google/rpc/status_pb.js";
import { isEnded } from "./job-states.ts";

/** How a job ended. */
export interface JobOutcome {
  readonly state: JobState;
  /** Of a job that succeeded, unless it was listed. */
  readonly result?: GenerationResult | undefined;
  /** Of any other. */
  readonly error?: Status | undefined;
}

/** The outcome that `event` tells; `undefined` if it is not the last of its job. */
export function outcomeOfEvent({ event }: JobEvent): JobOutcome | undefined {
  if (event.case === "completed") return { state: JobState.SUCCEEDED, result: event.value.result };
  if (event.case === "failed") return { state: event.value.state, error: event.value.error };
  return undefined;
}

/** The outcome of `job`; `undefined` while it has none. */
export function outcomeOfJob({ state, result, error }: Job): JobOutcome | undefined {
  return isEnded(state) ? { state, result, error } : undefined;
}
