import type { GraphValue, WorkflowGraph } from "../graph.ts";
import type { NodeClasses } from "../node-class.ts";
import { readLink } from "./link.ts";

/**
 * The seeds that the output nodes of a graph save by, by node id: for each the one of the node nearest to it, counted in
 * links, that has a seed as a literal. Nodes that nothing is sampled for have none, nor have those whose seed comes along
 * a link.
 */
export function seedsOf(graph: WorkflowGraph, classes: NodeClasses): ReadonlyMap<string, bigint> {
  const seeds = new Map<string, bigint>();
  for (const [id, { class_type }] of Object.entries(graph)) {
    const seed = classes.get(class_type)?.isOutput ? nearestSeed(graph, id) : undefined;
    if (seed !== undefined) {
      seeds.set(id, seed);
    }
  }
  return seeds;
}

function nearestSeed(graph: WorkflowGraph, start: string): bigint | undefined {
  const seen = new Set([start]);
  for (const id of seen) {
    const inputs = Object.hasOwn(graph, id) ? graph[id]?.inputs : undefined;
    if (inputs === undefined) {
      continue;
    }
    const seed = seedNames.map((name) => seedIn(inputs[name])).find((one) => one !== undefined);
    if (seed !== undefined) {
      return seed;
    }
    for (const value of Object.values(inputs)) {
      const link = readLink(value);
      if (link !== undefined && link !== "literal") {
        seen.add(link.nodeId); // walked by the loop, in this order: the nearest first
      }
    }
  }
  return undefined;
}

const seedNames = ["seed", "noise_seed"];

function seedIn(value: GraphValue | undefined): bigint | undefined {
  const seed = integerIn(value);
  return seed !== undefined && seed >= 0n && seed < 2n ** 64n ? seed : undefined;
}

function integerIn(value: GraphValue | undefined): bigint | undefined {
  switch (typeof value) {
    case "bigint":
      return value;
    case "number":
      return Number.isSafeInteger(value) ? BigInt(value) : undefined;
    case "string":
      return /^\d{1,20}$/.test(value) ? BigInt(value) : undefined;
    default:
      return undefined;
  }
}
