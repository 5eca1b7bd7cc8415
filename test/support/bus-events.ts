import type { PassingEvent } from "../../src/domain/job-event.ts";
import type { BusMessage } from "../../src/storage/event-bus.ts";

const time = new Date(1_700_000_000_123);

/** A step of a job. */
export function progressEvent(step: number, remainingMs?: number): PassingEvent {
  return {
    sequence: 3n,
    time,
    data: {
      type: "progress",
      nodeId: "ksampler",
      step,
      steps: 20,
      fraction: step / 20,
      elapsedMs: 812.5,
      remainingMs,
    },
  };
}

/** A preview of `sizeBytes`, all of them `step`. */
export function previewEvent(step: number, sizeBytes: number): PassingEvent {
  return {
    sequence: 3n,
    time,
    data: {
      type: "preview",
      nodeId: "ksampler",
      imageIndex: 1,
      step,
      format: "jpeg",
      widthPx: 64,
      heightPx: 48,
      data: new Uint8Array(sizeBytes).fill(step),
    },
  };
}

export function placeEvent(jobsAhead: number): PassingEvent {
  return { sequence: 2n, time, data: { type: "place", jobsAhead, attempt: 1 } };
}

/** Says that the events of a job up to `lastSequence` were written. */
export function recorded(jobId: string, lastSequence: bigint): BusMessage {
  return { type: "recorded", jobId, lastSequence };
}
