import type { GraphNode, GraphValue, WorkflowGraph } from "../graph.ts";
import type { NodeClasses } from "../node-class.ts";
import { readLink } from "./link.ts";

/**
 * The seeds that the output nodes of a graph save by, by node id: for each the one of the node nearest to it, counted in
 * links, that has a seed as a literal; of several the one behind the earlier inputs. A sampler that adds no noise goes on
 * from that of another, whose seed it is then; its own is taken only if there is no other. Nodes that nothing is sampled
 * for have none, nor have those whose seed comes along a link.
 */
export function seedsOf(graph: WorkflowGraph, classes: NodeClasses): ReadonlyMap<string, bigint> {
  const nearest = nearestSeeds(graph, addsNoise);
  const nearestOfAny = nearestSeeds(graph, () => true);
  return new Map(
    Object.entries(graph).flatMap(([id, { class_type }]) => {
      const nodeClass = classes.get(class_type);
      const mayBeOutput = nodeClass?.isOutput || nodeClass?.isUndescribed;
      const seed = mayBeOutput ? (nearest.get(id) ?? nearestOfAny.get(id))?.seed : undefined;
      return seed === undefined ? [] : [[id, seed]];
    }),
  );
}

interface NearestSeed {
  readonly seed: bigint;
  /** How many links away it is. */
  readonly distance: number;
}

/** Of every node at once, from the seeds on: a search from each output would walk a large graph thousands of times. */
function nearestSeeds(
  graph: WorkflowGraph,
  counts: (inputs: GraphNode["inputs"]) => boolean,
): ReadonlyMap<string, NearestSeed> {
  const nearest = new Map<string, NearestSeed>();
  const sources = new Map<string, readonly string[]>();
  const users = new Map<string, string[]>();
  for (const [id, { inputs }] of Object.entries(graph)) {
    const seed = seedNames.map((name) => seedIn(inputs[name])).find((one) => one !== undefined);
    if (seed !== undefined && counts(inputs)) {
      nearest.set(id, { seed, distance: 0 });
    }
    const linked = linkedNodes(inputs);
    sources.set(id, linked);
    for (const source of linked) {
      const others = users.get(source);
      if (others === undefined) {
        users.set(source, [id]);
      } else {
        others.push(id);
      }
    }
  }
  for (const [id, { distance }] of nearest) {
    for (const user of users.get(id) ?? []) {
      if (!nearest.has(user)) {
        // All nodes as near as this one are there by now. What is added here is walked by the loop, later on.
        const source = sources
          .get(user)
          ?.map((one) => nearest.get(one))
          .find((one) => one?.distance === distance);
        if (source !== undefined) {
          nearest.set(user, { seed: source.seed, distance: distance + 1 });
        }
      }
    }
  }
  return nearest;
}

/** Nodes that inputs are linked to, each once, in the order of the inputs. */
function linkedNodes(inputs: GraphNode["inputs"]): readonly string[] {
  const links = Object.values(inputs).map(readLink);
  return [...new Set(links.flatMap((link) => (typeof link === "object" ? link.nodeId : [])))];
}

/** `KSamplerAdvanced` says in a word that it adds none, `SamplerCustom` by a flag. */
function addsNoise({ add_noise }: GraphNode["inputs"]): boolean {
  return add_noise !== "disable" && add_noise !== false;
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
