import { subgraphInputId, subgraphOutputId, type UiGraph, type UiLink } from "./ui-workflow.ts";

/** The links that cross the boundary of a subgraph, by the slot of the subgraph. */
export interface BoundaryLinks {
  /** Ids of the links that come in, in the order of the file. */
  readonly incoming: ReadonlyMap<number, readonly string[]>;
  /** The link that goes out. */
  readonly outgoing: ReadonlyMap<number, UiLink>;
}

/** Finds the links of `graph` that cross its boundary. A graph is only looked through once. */
export function boundaryLinksOf(graph: UiGraph): BoundaryLinks {
  const known = found.get(graph);
  if (known !== undefined) {
    return known;
  }
  const incoming = new Map<number, string[]>();
  const outgoing = new Map<number, UiLink>();
  for (const [id, link] of graph.links) {
    if (link.originId === subgraphInputId) {
      incoming.set(link.originSlot, [...(incoming.get(link.originSlot) ?? []), id]);
    }
    if (link.targetId === subgraphOutputId && !outgoing.has(link.targetSlot)) {
      outgoing.set(link.targetSlot, link);
    }
  }
  const links = { incoming, outgoing };
  found.set(graph, links);
  return links;
}

const found = new WeakMap<UiGraph, BoundaryLinks>();
