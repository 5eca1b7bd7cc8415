import type { ResolvedGeneration } from "./generation.ts";
import type { ImageFormat, ImageInfo } from "./image.ts";

/** An event of a job, numbered and dated. */
export interface JobEvent {
  /** From 1, rising within the job; gaps are droppable events that were dropped. */
  readonly sequence: bigint;
  readonly time: Date;
  readonly data: JobEventData;
}

/** What can happen to a job; the order is that of `JobEvent` in the public API. */
export type JobEventData =
  | { readonly type: "accepted"; readonly generation: ResolvedGeneration }
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
    }
  | { readonly type: "image"; readonly image: ImageInfo }
  | { readonly type: "completed"; readonly result: GenerationResult };

/** Which backend did the work. */
export interface BackendInfo {
  readonly name: string;
  readonly comfyUiVersion: string;
  readonly builtIn: boolean;
}

/** What a job that succeeded did. */
export interface GenerationResult {
  readonly images: readonly ImageInfo[];
  readonly generation: ResolvedGeneration;
  readonly graphSha256: string;
  readonly backend: BackendInfo;
  readonly attemptCount: number;
  readonly createTime: Date;
  readonly endTime: Date;
  readonly timings: PhaseTimings;
  readonly nodes: readonly NodeTiming[];
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
