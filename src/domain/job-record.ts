import type { ResolvedGeneration } from "./generation.ts";
import type { GenerationPlan } from "./generation-plan.ts";
import type { ImageInfo } from "./image.ts";
import type { GenerationResult, LastingEvent } from "./job-event.ts";
import type { FailedState, JobFailure } from "./job-failure.ts";
import { canBecome, isTerminal, type JobState } from "./job-state.ts";
import type { OutputInfo } from "./output.ts";

/** A job as it is kept: what was asked for, and what has become of it. */
export interface JobRecord {
  /** A lowercase UUID. */
  readonly id: string;
  /** Whose job it is; empty as long as there is but one tenant. */
  readonly tenant: string;
  /** What the caller calls the request that made it; empty if it has no name. */
  readonly requestId: string;
  readonly batch?: { readonly id: string; readonly index: number };
  readonly labels: Readonly<Record<string, string>>;
  readonly note: string;
  readonly generation: ResolvedGeneration;
  readonly plan: GenerationPlan;
  /** Hash of the plan and of how its images are encoded: jobs of equal keys give equal images. */
  readonly reuseKey: string;
  /** How long it is kept after its end, in milliseconds. */
  readonly retentionMs: number;
  readonly createTime: Date;

  readonly state: JobState;
  /** Number of its last event. */
  readonly lastSequence: bigint;
  /** When it ends as expired or timed out unless a backend has begun to run it. */
  readonly queueDeadline: Date;
  /** The last attempt to run it, if there was one. */
  readonly attempt?: Attempt;
  /** When the backend began with that attempt. */
  readonly startTime?: Date;
  /** The images that there are so far, in the order in which they came. They stay over attempts. */
  readonly images: readonly ImageInfo[];
  /** What it has left beside images so far, in the order in which it came. Stays over attempts too. */
  readonly outputs: readonly OutputInfo[];
  /** Why it has to stop, or did not succeed. */
  readonly failure?: JobFailure;
  readonly result?: GenerationResult;
  readonly endTime?: Date;
  /** When it is removed; set at its end. */
  readonly expireTime?: Date;
}

/** One run of a job on a backend, kept before the backend hears of it. */
export interface Attempt {
  /** From 1. */
  readonly number: number;
  readonly promptId: string;
  /** Name of the backend. */
  readonly backend: string;
  /**
   * - `open`: under way, as far as known.
   * - `unknown`: the backend was out of reach for too long; the prompt may still be there.
   * - `gone`: the backend does not have it any more, or never had.
   */
  readonly fate: "open" | "unknown" | "gone";
}

/** Which prompt, and where. */
export interface PromptPlace {
  readonly promptId: string;
  /** Name of the backend. */
  readonly backend: string;
}

/** Where the last attempt of a job that has ended may still be, for nobody. */
export function leftBehindBy({ state, attempt }: JobRecord): PromptPlace | undefined {
  return isTerminal(state) && attempt?.fate === "unknown"
    ? { promptId: attempt.promptId, backend: attempt.backend }
    : undefined;
}

/**
 * What becomes of `record` by `event`, which is its next: everything about a job but the attempt that it is given to
 * follows from its events.
 *
 * @throws Error if the job cannot take this event now, which would be a fault of ours
 */
export function afterEvent(record: JobRecord, { sequence, time, data }: LastingEvent): JobRecord {
  if (sequence !== record.lastSequence + 1n) {
    throw new Error(`event ${sequence} does not follow event ${record.lastSequence} of the job`);
  }
  const next = { ...record, lastSequence: sequence };
  switch (data.type) {
    case "accepted":
    case "nodeStarted":
      return next;
    case "queued": {
      const { startTime: _, ...waiting } = next;
      return record.state === "queued" ? next : { ...waiting, state: become(record, "queued") };
    }
    case "started":
      return { ...next, startTime: time };
    case "image":
      return { ...next, images: [...record.images, data.image] };
    case "output":
      return { ...next, outputs: [...record.outputs, data.output] };
    case "cancelling":
      return { ...next, state: become(record, "cancelling"), failure: data.failure };
    case "completed":
      return { ...next, ...ended(record, "succeeded", time), result: data.result };
    case "failed":
      return { ...next, ...ended(record, data.state, time), failure: data.failure };
  }
}

/** The state in which a job that is in `state` ends for `failure`. */
export function endStateFor({ reason }: JobFailure, state: JobState): FailedState {
  switch (reason) {
    case "CANCELLED_BY_CALLER":
    case "CANCELLED_BY_REQUEST":
    case "SHUTTING_DOWN":
      return "cancelled";
    case "JOB_TIMEOUT":
      return state === "queued" ? "expired" : "failed";
    default:
      return "failed";
  }
}

function ended(record: JobRecord, state: JobState, endTime: Date) {
  return {
    state: become(record, state),
    endTime,
    expireTime: new Date(endTime.getTime() + record.retentionMs),
  };
}

function become({ state }: JobRecord, next: JobState): JobState {
  if (!canBecome(state, next)) {
    throw new Error(`a ${state} job cannot become ${next}`);
  }
  return next;
}

/** Whether the job has ended. */
export function hasEnded({ state }: JobRecord): boolean {
  return isTerminal(state);
}
