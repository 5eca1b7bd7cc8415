import { describe, expect, it } from "vitest";
import { NodeCache } from "./cache.ts";
import { signaturesOf } from "./signature.ts";
import { txt2img } from "./testing/test-client.ts";

const none = new Map<string, string>();

describe("signatures of nodes", () => {
  it("do not depend on ids, order of inputs, or what comes after a node", () => {
    const a = signaturesOf(
      {
        "1": { class_type: "A", inputs: { x: 1, y: "2" } },
        "2": { class_type: "B", inputs: { from: ["1", 0] } },
      },
      none,
    );
    const b = signaturesOf(
      {
        z: { class_type: "B", inputs: { from: ["q", 0] } },
        q: { class_type: "A", inputs: { y: "2", x: 1 } },
      },
      none,
    );
    expect([b.get("q"), b.get("z")]).toEqual([a.get("1"), a.get("2")]);
  });

  it("differ with the inputs of anything that a node depends on, and of nothing else", () => {
    const before = signaturesOf(txt2img({ seed: 1 }), none);
    const after = signaturesOf(txt2img({ seed: 2 }), none);
    const same = [...before.keys()].filter((id) => before.get(id) === after.get(id)).sort();
    expect(same).toEqual(["4", "5", "6", "7"]);
  });

  it("differ with the last digit of a large seed, with the slot of a link, and with what is read from elsewhere", () => {
    const of = (value: unknown) =>
      signaturesOf({ "1": { class_type: "A", inputs: {} }, "2": value as never }, none).get("2");
    expect(of({ class_type: "B", inputs: { s: 9007199254740993n } })).not.toBe(
      of({ class_type: "B", inputs: { s: 9007199254740992n } }),
    );
    expect(of({ class_type: "B", inputs: { s: ["1", 0] } })).not.toBe(
      of({ class_type: "B", inputs: { s: ["1", 1] } }),
    );
    const graph = { "1": { class_type: "A", inputs: {} } };
    expect(signaturesOf(graph, new Map([["1", "m"]])).get("1")).not.toBe(signaturesOf(graph, none).get("1"));
  });

  it("are not given to nodes that depend on something missing or on themselves", () => {
    const graph = {
      "1": { class_type: "A", inputs: { x: ["9", 0] } },
      "2": { class_type: "A", inputs: { x: ["3", 0] } },
      "3": { class_type: "A", inputs: { x: ["2", 0] } },
      "4": { class_type: "A", inputs: { x: 1 } },
    };
    expect([...signaturesOf(graph, none).keys()]).toEqual(["4"]);
  });
});

describe("the node cache", () => {
  it("keeps a result for the next prompt, and drops what that does not contain", () => {
    const cache = new NodeCache();
    const output = { values: [], ui: undefined };
    cache.set("a", output);
    cache.set("b", output);
    cache.keepOnly(["a", "c"]);
    expect([cache.get("a"), cache.get("b"), cache.get("c")]).toEqual([output, undefined, undefined]);
    cache.keepOnly([]);
    expect(cache.get("a")).toBeUndefined();
  });
});
