import { describe, expect, it } from "vitest";
import { buildGeneration } from "../../test/support/generations.ts";
import { shapeOfGraph } from "../domain/graph-shape.ts";
import type { JobRecord } from "../domain/job-record.ts";
import { RunTimes } from "./run-times.ts";

function graphOf(steps: number) {
  return { "1": { class_type: "KSampler", inputs: { steps } } };
}

function ended(
  steps: number,
  executionMs: number,
  facts: { backend?: string; reusedJobId?: string } = {},
): JobRecord {
  const now = new Date(0);
  const { backend = "a", reusedJobId } = facts;
  return {
    id: "j",
    tenant: "",
    requestId: "",
    labels: {},
    note: "",
    generation: buildGeneration(),
    plan: { graph: graphOf(steps), inputs: [], images: [], keeps: "images" },
    reuseKey: "",
    retentionMs: 1,
    createTime: now,
    state: "succeeded",
    lastSequence: 1n,
    queueDeadline: now,
    images: [],
    outputs: [],
    result: {
      images: [],
      outputs: [],
      generation: buildGeneration(),
      graphSha256: "",
      backend: { name: backend, comfyUiVersion: "", builtIn: true },
      attemptCount: 1,
      createTime: now,
      endTime: now,
      timings: { queueMs: 0, backendQueueMs: 0, executionMs, deliveryMs: 0, totalMs: executionMs },
      nodes: [],
      ...(reusedJobId !== undefined && { reusedJobId }),
    },
  };
}

describe("RunTimes", () => {
  it("knows how long the like took on the same backend, the last time most", () => {
    const times = new RunTimes();
    const shape = shapeOfGraph(graphOf(20));
    expect(times.estimateMs(shape, "a")).toBeUndefined();
    times.learn(ended(20, 8_000));
    times.learn(ended(20, 4_000));
    times.learn(ended(30, 1));
    times.learn(ended(20, 1, { backend: "b" }));
    times.learn(ended(20, 1, { reusedJobId: "other" }));
    expect(times.estimateMs(shape, "a")).toBe(6_000);
    expect(times.estimateMs(shape, "b")).toBe(1);
  });

  it("forgets what it has learned longest ago", () => {
    const times = new RunTimes();
    for (let steps = 0; steps < 2_001; steps++) {
      times.learn(ended(steps, 1));
    }
    expect(times.estimateMs(shapeOfGraph(graphOf(0)), "a")).toBeUndefined();
    expect(times.estimateMs(shapeOfGraph(graphOf(1)), "a")).toBe(1);
  });
});
