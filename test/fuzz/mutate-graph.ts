import type { GraphValue } from "../../src/domain/graph.ts";
import type { NodeClasses } from "../../src/domain/node-class.ts";
import type { DraftGraph } from "./random-graph.ts";
import type { Tape } from "./tape.ts";

/** Changes a graph in one place, mostly for the worse. */
export function mutateGraph(graph: DraftGraph, classes: NodeClasses, tape: Tape): void {
  const ids = Object.keys(graph);
  const id = tape.pick(ids);
  const node = id === undefined ? undefined : graph[id];
  if (id === undefined || node === undefined) {
    return;
  }
  const inputs = { ...node.inputs };
  const declared = classes.get(node.class_type)?.inputs.map(({ name }) => name) ?? [];
  const inputName = tape.pick([...declared, ...Object.keys(inputs), "extra"]) ?? "extra";
  switch (tape.below(8)) {
    case 0:
    case 1:
      inputs[inputName] = tape.pick(oddValues);
      break;
    case 2:
      delete inputs[inputName];
      break;
    case 3:
    case 4:
      inputs[inputName] = [tape.pick(ids) ?? "", tape.below(4) - 1];
      break;
    case 5:
      delete graph[id];
      return;
    case 6:
      graph[id] = { class_type: tape.pick([...classes.keys(), "Nonsense", "constructor", ""]) ?? "", inputs };
      return;
    default:
      graph[tape.pick(["constructor", "toString", "12:3", "", "999"])] = node;
      return;
  }
  graph[id] = { ...node, inputs };
}

const oddValues: readonly [GraphValue, ...GraphValue[]] = [
  null,
  true,
  false,
  0,
  1,
  -1,
  0.5,
  1e300,
  2n ** 64n - 1n,
  -(2n ** 63n),
  "",
  "64",
  " 7 ",
  "1_000",
  "1__0",
  "0x10",
  "1e2",
  "nan",
  "-inf",
  "euler",
  "nonsense",
  [],
  [1],
  ["1"],
  ["1", 0, 0],
  [1, 0],
  ["1", "0"],
  ["1", 0.5],
  ["1", null],
  ["nowhere", 0],
  ["toString", 0],
  [["1"], 0],
  {},
  { __value__: 3 },
  { __value__: "euler" },
  { __value__: [1, 2] },
  { __value__: null },
  { other: 1 },
];
