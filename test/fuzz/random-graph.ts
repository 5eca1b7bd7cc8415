import type { GraphNode, GraphValue } from "../../src/domain/graph.ts";
import type { NodeClass, NodeClasses, NodeInput } from "../../src/domain/node-class.ts";
import type { Tape } from "./tape.ts";

/** A graph that is being made. */
export type DraftGraph = Record<string, GraphNode>;

/**
 * Makes graphs that are good for a backend with `classes`: one or two output nodes and all that they need, values at
 * random within their ranges, links between whatever fits.
 */
export class RandomGraphs {
  readonly #outputs: readonly NodeClass[];
  /** Classes with an output of a type, those first that need the fewest nodes in a row. */
  readonly #givers = new Map<string, readonly NodeClass[]>();

  constructor(classes: NodeClasses) {
    const depths = depthsOf(classes);
    const possible = [...classes.values()]
      .filter(({ name }) => depths.has(name))
      .sort((a, b) => (depths.get(a.name) ?? 0) - (depths.get(b.name) ?? 0));
    this.#outputs = possible.filter(({ isOutput }) => isOutput);
    for (const nodeClass of possible) {
      for (const type of new Set(nodeClass.outputs.map((output) => output.type))) {
        this.#givers.set(type, [...(this.#givers.get(type) ?? []), nodeClass]);
      }
    }
  }

  next(tape: Tape): DraftGraph {
    const graph: DraftGraph = {};
    for (let i = tape.below(2); i >= 0; i--) {
      const nodeClass = tape.pick(this.#outputs);
      if (nodeClass !== undefined) {
        this.#addNode(graph, nodeClass, tape, 0);
      }
    }
    return graph;
  }

  #addNode(graph: DraftGraph, nodeClass: NodeClass, tape: Tape, depth: number): string {
    const inputs: Record<string, GraphValue> = {};
    for (const input of nodeClass.inputs) {
      const isGiven = input.isRequired || (depth < deepest && tape.below(4) === 3);
      if (isGiven && isWidget(input)) {
        inputs[input.name] = literalFor(input, tape);
      } else if (isGiven && this.#givers.has(input.type)) {
        inputs[input.name] = this.#linkFor(graph, input, tape, depth);
      }
    }
    const id = `${Object.keys(graph).length + 1}`;
    graph[id] = { class_type: nodeClass.name, inputs };
    return id;
  }

  #linkFor(graph: DraftGraph, { type }: NodeInput, tape: Tape, depth: number): GraphValue {
    const givers = this.#givers.get(type) ?? [];
    const there = Object.entries(graph).filter(([, node]) =>
      givers.some(({ name }) => name === node.class_type),
    );
    const [reusedId, reusedNode] =
      (tape.below(3) > 0 || depth >= deepest ? tape.pick(there) : undefined) ?? [];
    const giver =
      givers.find(({ name }) => name === reusedNode?.class_type) ??
      (depth < deepest ? tape.pick(givers) : givers[0]);
    const id = reusedId ?? (giver && this.#addNode(graph, giver, tape, depth + 1));
    return [id ?? "none", giver?.outputs.findIndex((output) => output.type === type) ?? 0];
  }
}

const deepest = 4;

/** How many nodes in a row each class needs at least; those that no graph can satisfy are left out. */
function depthsOf(classes: NodeClasses): ReadonlyMap<string, number> {
  const depths = new Map<string, number>();
  const types = new Map<string, number>();
  for (let before = -1; before < depths.size; ) {
    before = depths.size;
    const reached = new Map(types);
    for (const { name, inputs, outputs } of classes.values()) {
      const links = inputs.filter((input) => input.isRequired && !isWidget(input));
      if (depths.has(name) || !links.every(({ type }) => reached.has(type))) {
        continue;
      }
      const depth = 1 + Math.max(0, ...links.map(({ type }) => reached.get(type) ?? 0));
      depths.set(name, depth);
      for (const { type } of outputs) {
        types.set(type, Math.min(types.get(type) ?? depth, depth));
      }
    }
  }
  return depths;
}

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
