import { describe, expect, it } from "vitest";
import { ScriptedEngine } from "../../test/support/scripted-engine.ts";
import { askBackends } from "./ask-backends.ts";

function engines(...names: readonly string[]): readonly ScriptedEngine[] {
  return names.map((name) => Object.assign(new ScriptedEngine(), { name }));
}

const nameOf = async ({ name }: { readonly name: string }) => {
  if (name.startsWith("broken")) {
    throw new Error(name);
  }
  return name.toUpperCase();
};

describe("askBackends", () => {
  it("asks those that can be used, in their order", async () => {
    const [a, b, c] = engines("a", "b", "c");
    b?.setState("down");
    c?.setState("degraded");
    expect(
      await askBackends(
        [a, b, c].filter((one) => one !== undefined),
        nameOf,
      ),
    ).toEqual([
      { backend: "a", value: "A" },
      { backend: "c", value: "C" },
    ]);
  });

  it("asks all if none can be used", async () => {
    const both = engines("a", "b");
    for (const engine of both) {
      engine.setState("down");
    }
    expect(await askBackends(both, nameOf)).toHaveLength(2);
  });

  it("leaves out those that fail, and fails as the first if all do", async () => {
    expect(await askBackends(engines("broken 1", "b"), nameOf)).toEqual([{ backend: "b", value: "B" }]);
    await expect(askBackends(engines("broken 1", "broken 2"), nameOf)).rejects.toThrow("broken 1");
  });
});
