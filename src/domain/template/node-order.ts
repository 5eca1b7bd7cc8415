import type { GraphValue, WorkflowGraph } from "../graph.ts";

/** The node and output that an input comes from; `undefined` for one that has a value of its own. */
export function linkOf(
  value: GraphValue | undefined,
): { readonly nodeId: string; readonly output: number } | undefined {
  if (!Array.isArray(value) || value.length !== 2) {
    return undefined;
  }
  const [nodeId, output] = value;
  return typeof nodeId === "string" && typeof output === "number" ? { nodeId, output } : undefined;
}

/**
 * Ids of the nodes, each after those that it takes something from, and else by number or by name: whatever the order of
 * the JSON was. Nodes on a cycle, which no backend runs, come where they are met first.
 */
export function nodesInOrder(graph: WorkflowGraph): readonly string[] {
  const order = new Set<string>();
  const entered = new Set<string>();
  const pending = Object.keys(graph).sort(compareIds).reverse();
  // A stack of its own, since a graph may be deeper than that of the machine.
  for (let id = pending.at(-1); id !== undefined; id = pending.at(-1)) {
    const node = graph[id];
    if (entered.has(id) || node === undefined) {
      pending.pop();
      if (node !== undefined) {
        order.add(id);
      }
      continue;
    }
    entered.add(id);
    const sources = Object.values(node.inputs)
      .flatMap((value) => linkOf(value)?.nodeId ?? [])
      .filter((source) => Object.hasOwn(graph, source) && !entered.has(source));
    pending.push(...sources.sort(compareIds).reverse());
  }
  return [...order];
}

function compareIds(a: string, b: string): number {
  return a.localeCompare(b, "en", { numeric: true });
}
