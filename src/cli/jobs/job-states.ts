import { JobState } from "../../../gen/comfyrpc/v1/job_state_pb.js";

/** Names of the states on the command line. */
export const stateNames = [
  "queued",
  "running",
  "cancelling",
  "succeeded",
  "failed",
  "cancelled",
  "expired",
] as const;

export type StateName = (typeof stateNames)[number];

/** The state that `--state` means by `name`. */
export function stateOfName(name: StateName): JobState {
  return states[name];
}

/** `state` in a word, for people. */
export function nameOfState(state: JobState): string {
  return stateNames.find((name) => states[name] === state) ?? "unknown";
}

/** Whether a job in `state` stays in it. */
export function isEnded(state: JobState): boolean {
  return endStates.has(state);
}

const states: Record<StateName, JobState> = {
  queued: JobState.QUEUED,
  running: JobState.RUNNING,
  cancelling: JobState.CANCELLING,
  succeeded: JobState.SUCCEEDED,
  failed: JobState.FAILED,
  cancelled: JobState.CANCELLED,
  expired: JobState.EXPIRED,
};

const endStates: ReadonlySet<JobState> = new Set([
  JobState.SUCCEEDED,
  JobState.FAILED,
  JobState.CANCELLED,
  JobState.EXPIRED,
]);
