import { describe, expect, it } from "vitest";
import { type FaultOrder, FaultPlan, type RunFault } from "./faults.ts";

function planOf(...orders: readonly FaultOrder[]): { plan: FaultPlan; struck: RunFault[] } {
  const struck: RunFault[] = [];
  const plan = new FaultPlan((fault) => struck.push(fault));
  for (const order of orders) {
    plan.order(order);
  }
  return { plan, struck };
}

describe("a fault plan", () => {
  it("refuses what is no fault", () => {
    const { plan } = planOf();
    // @ts-expect-error: there is no such fault
    expect(() => plan.order({ type: "explode" })).toThrow();
    expect(() => plan.order({ type: "slow_download", bytesPerSecond: 0 })).toThrow();
    expect(plan.pending()).toEqual([]);
  });

  it("carries out at once what is ordered for now", () => {
    const { plan, struck } = planOf({ type: "drop_socket", now: true, whose: "all" });
    expect(struck).toMatchObject([{ type: "drop_socket", whose: "all" }]);
    expect(plan.pending()).toEqual([]);
  });

  it.each([
    ["the start of a prompt", { type: "interrupt" }, { promptId: "a" }],
    [
      "the start of a node",
      { type: "interrupt", classType: "VAEDecode" },
      { promptId: "a", classType: "VAEDecode" },
    ],
    ["a step of any node", { type: "interrupt", step: 2 }, { promptId: "a", classType: "KSampler", step: 2 }],
    ["a step of a node", { type: "fail_node", step: 2 }, { promptId: "a", classType: "KSampler", step: 2 }],
    ["a prompt", { type: "stall", promptId: "a" }, { promptId: "a" }],
  ] as const)("strikes at %s, and nowhere else", (_, order, point) => {
    const { plan } = planOf(order);
    const elsewhere = [
      { promptId: "b", classType: "SaveImage" },
      { promptId: "b", classType: "SaveImage", step: 1 },
      { promptId: "b", classType: "KSampler", step: 1 },
    ];
    expect(elsewhere.flatMap((other) => plan.due(other))).toEqual([]);
    expect(plan.due(point)).toHaveLength(1);
    expect(plan.due(point)).toEqual([]);
  });

  it("strikes as often as ordered, each time once", () => {
    const { plan } = planOf({ type: "lose_output", times: 2 });
    expect(plan.take("lose_output", "a")).toMatchObject({ times: 2 });
    expect(plan.pending()).toMatchObject([{ type: "lose_output", times: 1 }]);
    expect(plan.take("lose_output", undefined)).toBeDefined();
    expect(plan.take("lose_output", "a")).toBeUndefined();
  });

  it("ends an out-of-memory fault when memory is freed, unless it is persistent", () => {
    const { plan } = planOf({ type: "out_of_memory", times: 9 }, { type: "out_of_memory", persistent: true });
    plan.memoryFreed();
    expect(plan.pending()).toMatchObject([{ type: "out_of_memory", persistent: true }]);
  });

  it("stands still until it is cleared", async () => {
    const { plan } = planOf();
    const stalled = plan.stallUntilCleared(new AbortController().signal);
    expect(plan.stalled).toBe(true);
    plan.clear();
    await stalled;
    expect(plan.stalled).toBe(false);
  });

  it("stands still no longer than the run lasts", async () => {
    const { plan } = planOf();
    const abort = new AbortController();
    const stalled = plan.stallUntilCleared(abort.signal);
    abort.abort();
    await stalled;
    expect(plan.stalled).toBe(false);
  });
});
