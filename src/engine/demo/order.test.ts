import { describe, expect, it } from "vitest";
import type { JsonObject } from "./json.ts";
import { ExecutionOrder } from "./order.ts";
import { txt2img } from "./testing/test-client.ts";

function orderOf(graph: JsonObject, targets: readonly string[], cached: readonly string[] = []): string[] {
  const order = new ExecutionOrder(
    graph,
    targets,
    (id) => cached.includes(id),
    (id) => targets.includes(id),
  );
  const ids: string[] = [];
  for (let id = order.next(); id !== undefined; id = order.next()) {
    ids.push(id);
    order.done(id);
  }
  return ids;
}

describe("the order of nodes", () => {
  it("puts a node after all that it depends on, and each node once", () => {
    const graph: JsonObject = txt2img();
    const ids = orderOf(graph, ["9"]);
    expect(ids.toSorted()).toEqual(["3", "4", "5", "6", "7", "8", "9"]);
    expect(ids.slice(-3)).toEqual(["3", "8", "9"]);
    expect(ids.indexOf("4")).toBeLessThan(ids.indexOf("6"));
  });

  it("leaves out what only cached nodes depend on", () => {
    expect(orderOf(txt2img(), ["9"], ["3", "4"])).toEqual(["8", "9"]);
    expect(orderOf(txt2img(), ["9"], ["9", "8"])).toEqual(["9"]);
  });

  it("runs an output node as soon as it can", () => {
    const graph: JsonObject = {
      "1": { class_type: "A", inputs: {} },
      "2": { class_type: "Out", inputs: { x: ["1", 0] } },
      "3": { class_type: "A", inputs: {} },
      "4": { class_type: "A", inputs: { x: ["3", 0] } },
      "5": { class_type: "Out", inputs: { x: ["4", 0] } },
    };
    const ids = orderOf(graph, ["2", "5"]);
    expect(ids.indexOf("2")).toBe(ids.indexOf("1") + 1);
  });
});
