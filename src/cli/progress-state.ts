import { durationMs } from "@bufbuild/protobuf/wkt";
import type { JobEvent, JobProgress } from "../../gen/comfyrpc/v1/job_event_pb.js";
import { plainText } from "./plain-text.ts";

/** What is known of a running job; {@link nextState} says how events change it. */
export interface ProgressState {
  /** What happens now, in words, without the step: `Queued, 2 jobs ahead`, `KSampler`. */
  readonly activity: string;
  /** Whether a backend is at work, so that a share of the work can be shown. */
  readonly isRunning: boolean;
  /** Share of the whole workflow that is done: 0 to 1. */
  readonly fraction: number;
  /** Last step that is done, and how many there are; absent where the node has told none. */
  readonly step?: { readonly done: number; readonly total: number };
  /** When the service expects the job to end, on the clock of {@link nextState}; absent until it can tell. */
  readonly expectedEndMs?: number;
}

/** The state before the service has answered. */
export function initialState(serverName: string): ProgressState {
  return { activity: `Asking ${serverName}`, isRunning: false, fraction: 0 };
}

/** What `event`, received at `nowMs`, makes of `state`. */
export function nextState(state: ProgressState, { event }: JobEvent, nowMs: number): ProgressState {
  switch (event.case) {
    case "accepted":
      return waiting("Accepted");
    case "queued":
      return waiting(queuedText(event.value.jobsAhead) + attemptText(event.value.attempt));
    case "started":
      return { ...waiting(`Starting on ${plainText(event.value.backend?.name ?? "")}`), isRunning: true };
    case "nodeStarted": {
      const { step: _, ...rest } = state;
      return { ...rest, isRunning: true, activity: plainText(event.value.title || event.value.classType) };
    }
    case "progress":
      return afterProgress(state, event.value, nowMs);
    case "cancelling":
      return { ...waiting("Stopping"), isRunning: true, fraction: state.fraction };
    case "image": {
      const number = (event.value.image?.index ?? 0) + 1;
      return { activity: `Receiving image ${number}`, isRunning: true, fraction: state.fraction };
    }
    case "output":
      return { activity: "Receiving outputs", isRunning: true, fraction: state.fraction };
    default:
      return state;
  }
}

/** What to show in place of `state` while the service is out of reach. */
export function lostState({ isRunning, fraction }: ProgressState): ProgressState {
  return { activity: "Connection lost, trying again", isRunning, fraction };
}

function waiting(activity: string): ProgressState {
  return { activity, isRunning: false, fraction: 0 };
}

function queuedText(jobsAhead: number): string {
  if (jobsAhead === 0) return "Queued, next in line";
  return jobsAhead === 1 ? "Queued, 1 job ahead" : `Queued, ${jobsAhead} jobs ahead`;
}

function attemptText(attempt: number): string {
  return attempt > 1 ? ` (attempt ${attempt}: the backend was lost)` : "";
}

function afterProgress(state: ProgressState, progress: JobProgress, nowMs: number): ProgressState {
  const { step, steps, fraction, remaining } = progress;
  return {
    activity: state.activity,
    isRunning: true,
    fraction: Math.min(1, Math.max(0, fraction)),
    ...(steps > 0 ? { step: { done: step, total: steps } } : {}),
    ...(remaining ? { expectedEndMs: nowMs + durationMs(remaining) } : {}),
  };
}
