import type { NodeClass, NodeClasses, NodeInput } from "../domain/node-class.ts";
import type { Engine } from "../engine/engine.ts";
import { askBackends } from "./ask-backends.ts";

/**
 * The node classes that every backend has that can be used now, as the first of them describes them, each with the
 * choices that all of them list: what any of them can run.
 *
 * @param maxAgeMs as for `Engine.nodeClasses`
 * @throws ServiceError `NO_BACKEND` if nothing is known of any backend
 */
export async function commonNodeClasses(
  engines: readonly Engine[],
  maxAgeMs: number,
  signal: AbortSignal,
): Promise<NodeClasses> {
  const answers = await askBackends(engines, (engine) => engine.nodeClasses(maxAgeMs, signal));
  return answers.map(({ value }) => value).reduce(common);
}

/** What two have in common, as long as there are both: every run of a template asks for it, and they seldom change. */
const made = new WeakMap<NodeClasses, WeakMap<NodeClasses, NodeClasses>>();

function common(a: NodeClasses, b: NodeClasses): NodeClasses {
  const ofA = made.get(a) ?? new WeakMap<NodeClasses, NodeClasses>();
  const ofBoth = ofA.get(b) ?? makeCommon(a, b);
  made.set(a, ofA.set(b, ofBoth));
  return ofBoth;
}

function makeCommon(a: NodeClasses, b: NodeClasses): NodeClasses {
  const both = new Map<string, NodeClass>();
  for (const [name, ofA] of a) {
    const ofB = b.get(name);
    if (ofB !== undefined) {
      const inputs = new Map(ofB.inputs.map((input) => [input.name, input]));
      both.set(name, {
        ...ofA,
        inputs: ofA.inputs.map((input) => commonInput(input, inputs.get(input.name))),
      });
    }
  }
  return both;
}

function commonInput(a: NodeInput, b: NodeInput | undefined): NodeInput {
  if (a.choices === undefined || b?.choices === undefined) {
    return a;
  }
  const known = new Set(b.choices);
  return { ...a, choices: a.choices.filter((choice) => known.has(choice)) };
}
