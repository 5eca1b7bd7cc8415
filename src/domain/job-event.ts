import type { ResolvedGeneration } from "./generation.ts";
import type { ImageFormat, ImageInfo } from "./image.ts";
import type { FailedState, JobFailure } from "./job-failure.ts";
import type { OutputInfo } from "./output.ts";

/**
 * An event of a job that is kept as long as the job is. Lasting events are numbered without gaps, so that a reader who
 * has seen number n knows that nothing up to n is missing, and can go on after n anywhere.
 */
export interface LastingEvent {
  /** From 1, each one more than the one before. */
  readonly sequence: bigint;
  readonly time: Date;
  readonly data: LastingEventData;
}

/** An event that is of use only now: a slow reader gets only the newest of each kind, and one who comes later none. */
export interface PassingEvent {
  /** Number of the last lasting event before it, which it repeats. */
  readonly sequence: bigint;
  readonly time: Date;
  readonly data: PassingEventData;
}

/** An event of a job as a reader gets it. */
export type JobEvent = LastingEvent | PassingEvent;

export type JobEventData = LastingEventData | PassingEventData;

/** What can happen to a job and is kept; the order is that of `JobEvent` in the public API. */
export type LastingEventData =
  | { readonly type: "accepted"; readonly generation: ResolvedGeneration }
  /** It waits for a backend: at first, or again since a backend lost it. */
  | { readonly type: "queued"; readonly jobsAhead: number; readonly attempt: number }
  | {
      readonly type: "started";
      readonly backend: BackendInfo;
      readonly attempt: number;
      readonly nodeCount: number;
      readonly cachedNodeCount: number;
    }
  | {
      readonly type: "nodeStarted";
      readonly nodeId: string;
      readonly classType: string;
      readonly title: string;
    }
  | { readonly type: "image"; readonly image: ImageInfo }
  | { readonly type: "output"; readonly output: OutputInfo }
  /** It has to stop, for this reason; the backend has not proved yet that it did. */
  | { readonly type: "cancelling"; readonly failure: JobFailure }
  | { readonly type: "completed"; readonly result: GenerationResult }
  /** It has ended without success. */
  | { readonly type: "failed"; readonly state: FailedState; readonly failure: JobFailure };

/** What can happen to a job and is of use only now. */
export type PassingEventData =
  /** Its place in the queue has changed. */
  | { readonly type: "place"; readonly jobsAhead: number; readonly attempt: number }
  | {
      readonly type: "progress";
      readonly nodeId: string;
      readonly step: number;
      readonly steps: number;
      /** 0 to 1; never falls within an attempt. */
      readonly fraction: number;
      readonly elapsedMs: number;
      readonly remainingMs: number | undefined;
    }
  | {
      readonly type: "preview";
      readonly nodeId: string;
      readonly imageIndex: number;
      readonly step: number;
      readonly format: ImageFormat;
      readonly widthPx: number;
      readonly heightPx: number;
      readonly data: Uint8Array;
    };

/** Whether `event` is the last of its job. */
export function isLastEvent({ data }: JobEvent): boolean {
  return data.type === "completed" || data.type === "failed";
}

/** Whether `event` is kept. */
export function isLasting(event: JobEvent): event is LastingEvent {
  const { type } = event.data;
  return type !== "place" && type !== "progress" && type !== "preview";
}

/** Which backend did the work. */
export interface BackendInfo {
  readonly name: string;
  readonly comfyUiVersion: string;
  readonly builtIn: boolean;
}

/** What a job that succeeded did. */
export interface GenerationResult {
  readonly images: readonly ImageInfo[];
  /** What it left beside images. */
  readonly outputs: readonly OutputInfo[];
  readonly generation: ResolvedGeneration;
  readonly graphSha256: string;
  readonly backend: BackendInfo;
  readonly attemptCount: number;
  readonly createTime: Date;
  readonly endTime: Date;
  readonly timings: PhaseTimings;
  readonly nodes: readonly NodeTiming[];
  /** Of the program that finished it; absent in results that an older one wrote. */
  readonly serviceVersion?: string;
  /** Job whose images these are, if nothing was drawn anew. */
  readonly reusedJobId?: string;
}

/** Where the time of a job went, in milliseconds; the phases add up to `totalMs`. */
export interface PhaseTimings {
  readonly queueMs: number;
  readonly backendQueueMs: number;
  readonly executionMs: number;
  readonly deliveryMs: number;
  readonly totalMs: number;
}

export interface NodeTiming {
  readonly nodeId: string;
  readonly classType: string;
  readonly title: string;
  /** Since the start of execution; absent for a cached node. */
  readonly startOffsetMs?: number;
  /** Absent for a cached node, and where the end was not seen. */
  readonly durationMs?: number;
  readonly cached: boolean;
}
