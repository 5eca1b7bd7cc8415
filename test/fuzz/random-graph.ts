import type { GraphNode, GraphValue } from "../../src/domain/graph.ts";
import type { NodeClass, NodeClasses, NodeInput } from "../../src/domain/node-class.ts";
import type { Tape } from "./tape.ts";

/** A graph that is being made. */
export type DraftGraph = Record<string, GraphNode>;

/**
 * Makes a graph that is good for a backend with `classes`: one or two output nodes and all that they need, values at
 * random within their ranges, links between whatever fits.
 */
export function randomGraph(classes: NodeClasses, tape: Tape): DraftGraph {
  const all = [...classes.values()];
  const outputs = all.filter(({ isOutput }) => isOutput);
  const graph: DraftGraph = {};
  for (let i = tape.below(2); i >= 0; i--) {
    const nodeClass = tape.pick(outputs);
    if (nodeClass !== undefined) {
      addNode(graph, nodeClass, all, tape, 0);
    }
  }
  return graph;
}

function addNode(
  graph: DraftGraph,
  nodeClass: NodeClass,
  all: readonly NodeClass[],
  tape: Tape,
  depth: number,
): string {
  const inputs: Record<string, GraphValue> = {};
  for (const input of nodeClass.inputs) {
    if (input.isRequired || (depth < deepest && tape.below(4) === 3)) {
      inputs[input.name] = isWidget(input)
        ? literalFor(input, tape)
        : linkFor(graph, input, all, tape, depth);
    }
  }
  const id = `${Object.keys(graph).length + 1}`;
  graph[id] = { class_type: nodeClass.name, inputs };
  return id;
}

function linkFor(
  graph: DraftGraph,
  { type }: NodeInput,
  all: readonly NodeClass[],
  tape: Tape,
  depth: number,
): GraphValue {
  const givers = all.filter(({ outputs }) => outputs.some((output) => output.type === type));
  const there = Object.entries(graph).filter(([, { class_type }]) =>
    givers.some(({ name }) => name === class_type),
  );
  const reused = tape.below(3) > 0 || depth >= deepest ? tape.pick(there) : undefined;
  const [reusedId, reusedNode] = reused ?? [];
  const giver =
    givers.find(({ name }) => name === reusedNode?.class_type) ??
    (depth < deepest ? tape.pick(givers) : simplest(givers));
  const id = reusedId ?? (giver && addNode(graph, giver, all, tape, depth + 1));
  return [id ?? "none", giver?.outputs.findIndex((output) => output.type === type) ?? 0];
}

/** The one that needs the fewest links, so that graphs come to an end. */
function simplest(classes: readonly NodeClass[]): NodeClass | undefined {
  const links = ({ inputs }: NodeClass) =>
    inputs.filter((input) => input.isRequired && !isWidget(input)).length;
  return [...classes].sort((a, b) => links(a) - links(b))[0];
}

const deepest = 4;

function isWidget({ type, choices }: NodeInput): boolean {
  return choices !== undefined || ["INT", "FLOAT", "STRING", "BOOLEAN"].includes(type);
}

function literalFor({ type, choices, default: usual, min, max }: NodeInput, tape: Tape): GraphValue {
  if (choices !== undefined) {
    return tape.pick(choices) ?? "";
  }
  switch (type) {
    case "INT":
    case "FLOAT":
      return tape.pick([usual, min, max].filter((value) => value !== undefined)) ?? 1;
    case "BOOLEAN":
      return tape.below(2) === 1;
    default:
      return tape.pick(["", "a red fox", "ein „Fuchs“ 🦊", "comfyrpc/a_0"]);
  }
}
