import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { WorkflowGraph } from "./graph.ts";
import { RunProgress } from "./progress.ts";

const graph: WorkflowGraph = {
  4: { class_type: "CheckpointLoaderSimple", inputs: {}, _meta: { title: "Load" } },
  3: { class_type: "KSampler", inputs: { steps: 10 } },
  8: { class_type: "VAEDecode", inputs: {} },
};

describe("RunProgress", () => {
  it("never goes back and stays within 0 and 1, whatever the nodes report", () => {
    const report = fc.record({
      node: fc.constantFrom("4", "3", "8", "unknown"),
      value: fc.double(),
      max: fc.double(),
    });
    fc.assert(
      fc.property(fc.array(report), fc.subarray(["4", "3", "8"]), (reports, cached) => {
        const progress = new RunProgress(graph, cached, 0);
        let last = 0;
        for (const [i, { node, value, max }] of reports.entries()) {
          const { fraction, step, steps } = progress.nodeProgress(node, value, max, i);
          expect(fraction).toBeGreaterThanOrEqual(last);
          expect(fraction).toBeLessThanOrEqual(1);
          expect(step).toBeLessThanOrEqual(steps);
          last = fraction;
        }
      }),
    );
  });

  it("estimates the rest by the pace of the steps, not by the time that loading took", () => {
    const progress = new RunProgress(graph, [], 0);
    progress.nodeStarted("4", 0);
    progress.nodeFinished("4", 60_000);
    progress.nodeStarted("3", 60_000);
    expect(progress.nodeProgress("3", 1, 10, 60_100).remainingMs).toBeUndefined();
    const { remainingMs, elapsedMs } = progress.nodeProgress("3", 3, 10, 60_300);
    expect(elapsedMs).toBe(60_300);
    expect(remainingMs).toBeCloseTo(800); // seven steps and the decoder, which weighs as much as one
  });

  it("tells how long each node took, and which came from the cache", () => {
    const progress = new RunProgress(graph, ["4"], 100);
    progress.nodeStarted("3", 110);
    expect(progress.nodeStarted("3", 115)).toBeUndefined();
    progress.nodeFinished("3", 150);
    progress.nodeStarted("8", 150);
    expect(progress.cachedNodeCount).toBe(1);
    expect(progress.nodeTimings()).toEqual([
      {
        nodeId: "3",
        classType: "KSampler",
        title: "KSampler",
        cached: false,
        startOffsetMs: 10,
        durationMs: 40,
      },
      { nodeId: "8", classType: "VAEDecode", title: "VAEDecode", cached: false, startOffsetMs: 50 },
      { nodeId: "4", classType: "CheckpointLoaderSimple", title: "Load", cached: true },
    ]);
  });
});
