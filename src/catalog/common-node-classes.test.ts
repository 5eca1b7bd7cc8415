import { describe, expect, it } from "vitest";
import { ScriptedEngine } from "../../test/support/scripted-engine.ts";
import { classesOf, nodeClass } from "../domain/template/testing/graphs.ts";
import { commonNodeClasses } from "./common-node-classes.ts";

const never = new AbortController().signal;
const loader = (...choices: readonly string[]) =>
  nodeClass("Loader", [
    { name: "file", type: "COMBO", choices },
    { name: "strength", type: "FLOAT" },
  ]);

describe("commonNodeClasses", () => {
  it("has the classes that all backends have, with the choices that all of them list", async () => {
    const [a, b] = [new ScriptedEngine(), new ScriptedEngine()];
    a.classes = classesOf(loader("x", "y", "z"), nodeClass("OnlyA", []));
    b.classes = classesOf(nodeClass("OnlyB", []), loader("z", "x"));
    expect(await commonNodeClasses([a, b], 0, never)).toEqual(classesOf(loader("x", "z")));
  });

  it("is made once of what backends have, and anew when one of them has something else", async () => {
    const engines = [new ScriptedEngine(), new ScriptedEngine(), new ScriptedEngine()];
    for (const engine of engines) {
      engine.classes = classesOf(loader("x", "y"));
    }
    const first = await commonNodeClasses(engines, 0, never);
    expect(await commonNodeClasses(engines, 0, never)).toBe(first);
    for (const engine of engines.slice(-1)) {
      engine.classes = classesOf(loader("y", "z"));
    }
    expect(await commonNodeClasses(engines, 0, never)).toEqual(classesOf(loader("y")));
  });

  it("is what the only backend has, as it is", async () => {
    const engine = new ScriptedEngine();
    engine.classes = classesOf(loader("x"));
    expect(await commonNodeClasses([engine], 0, never)).toBe(engine.classes);
  });
});
