import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { buildGeneration } from "../../test/support/generations.ts";
import type { GenerationResult, LastingEventData } from "./job-event.ts";
import type { JobFailure } from "./job-failure.ts";
import { afterEvent, endStateFor, hasEnded, type JobRecord } from "./job-record.ts";

const generation = buildGeneration();

const record: JobRecord = {
  id: "00000000-0000-4000-8000-000000000000",
  tenant: "",
  requestId: "",
  labels: {},
  note: "",
  generation,
  plan: { graph: {}, inputs: [], images: [], keeps: "images" },
  reuseKey: "",
  retentionMs: 1_000,
  createTime: new Date(0),
  state: "running",
  lastSequence: 2n,
  queueDeadline: new Date(0),
  images: [],
  outputs: [],
};

const backend = { name: "b", comfyUiVersion: "", builtIn: true };
const failure: JobFailure = { reason: "CANCELLED_BY_REQUEST", message: "m", details: {} };
const result: GenerationResult = {
  images: [],
  outputs: [],
  generation,
  graphSha256: "",
  backend,
  attemptCount: 1,
  createTime: new Date(0),
  endTime: new Date(0),
  timings: { queueMs: 0, backendQueueMs: 0, executionMs: 0, deliveryMs: 0, totalMs: 0 },
  nodes: [],
};

const anyEvent = fc.constantFrom<LastingEventData>(
  { type: "accepted", generation },
  { type: "queued", jobsAhead: 0, attempt: 1 },
  { type: "started", backend, attempt: 1, nodeCount: 1, cachedNodeCount: 0 },
  { type: "nodeStarted", nodeId: "1", classType: "C", title: "T" },
  { type: "cancelling", failure },
  { type: "completed", result },
  { type: "failed", state: "cancelled", failure },
  { type: "failed", state: "failed", failure },
);

function then(before: JobRecord, data: LastingEventData): JobRecord {
  return afterEvent(before, { sequence: before.lastSequence + 1n, time: new Date(500), data });
}

describe("afterEvent", () => {
  it("never brings a job back that has ended, and dates its end and its removal", () => {
    fc.assert(
      fc.property(fc.array(anyEvent, { maxLength: 12 }), (events) => {
        let now: JobRecord = record;
        for (const data of events) {
          const before = now;
          try {
            now = then(before, data);
          } catch {
            continue; // not possible in this state
          }
          if (hasEnded(before)) {
            expect(now.state).toBe(before.state);
          }
          expect(now.expireTime?.getTime()).toBe(hasEnded(now) ? 1_500 : undefined);
        }
      }),
    );
  });

  it("refuses an event that does not follow", () => {
    for (const sequence of [2n, 4n]) {
      expect(() =>
        afterEvent(record, { sequence, time: new Date(0), data: { type: "completed", result } }),
      ).toThrow("does not follow");
    }
  });

  it("forgets when an attempt started that goes back into the queue", () => {
    const started = then(record, { type: "started", backend, attempt: 1, nodeCount: 1, cachedNodeCount: 0 });
    expect(started.startTime).toEqual(new Date(500));
    expect(then(started, { type: "queued", jobsAhead: 0, attempt: 2 })).not.toHaveProperty("startTime");
  });

  it("does not cancel a job that waits by halves", () => {
    expect(() => then({ ...record, state: "queued" }, { type: "cancelling", failure })).toThrow(
      "cannot become",
    );
  });
});

describe("endStateFor", () => {
  it.each([
    ["CANCELLED_BY_REQUEST", "queued", "cancelled"],
    ["CANCELLED_BY_CALLER", "cancelling", "cancelled"],
    ["JOB_TIMEOUT", "queued", "expired"],
    ["JOB_TIMEOUT", "cancelling", "failed"],
    ["NODE_FAILED", "running", "failed"],
  ] as const)("ends a job for %s when %s as %s", (reason, state, end) => {
    expect(endStateFor({ ...failure, reason }, state)).toBe(end);
  });
});
