import type { GraphValue } from "../graph.ts";
import { boundaryLinksOf } from "./boundary-links.ts";
import { nameOfVariable } from "./editor-node.ts";
import type { ExpandedGraph, ExpandedNode, LinkedSlot } from "./expand-workflow.ts";
import type { PromotedWidgets } from "./promoted-widgets.ts";
import { subgraphInputId } from "./ui-workflow.ts";

/** What an input gets by its link. */
export type LinkSource =
  | { readonly kind: "output"; readonly node: ExpandedNode; readonly slot: number }
  | { readonly kind: "value"; readonly value: GraphValue }
  /** Nothing is linked to it, all the way. */
  | { readonly kind: "unlinked" }
  /** `at` is muted, or bypassed with no input whose type would do, or a subgraph with nothing at that output. */
  | { readonly kind: "dropped"; readonly at: ExpandedNode }
  | { readonly kind: "cycle"; readonly at: ExpandedNode }
  /** The link of `at` comes from a node or an output that is not there. */
  | { readonly kind: "dangling"; readonly at: ExpandedNode };

/** Where the search is: before an input, or behind an output. */
type Place =
  | { readonly side: "input"; readonly node: ExpandedNode; readonly slot: number; readonly type?: string }
  | { readonly side: "output"; readonly node: ExpandedNode; readonly slot: number; readonly type: string };

/**
 * Follows links back to what runs: out of subgraphs and into them, through nodes that only the editor knows, and through
 * bypassed ones.
 *
 * See `ExecutableNodeDTO.ts` of ComfyUI's frontend.
 */
export class LinkSources {
  readonly #promoted: PromotedWidgets;
  /** What is behind the places that were passed, so that no chain is followed twice. */
  readonly #found = new Map<ExpandedNode, Map<string, LinkSource>>();

  constructor(promoted: PromotedWidgets) {
    this.#promoted = promoted;
  }

  /** What slot `slot` of `node` gets by its link. */
  find(node: ExpandedNode, slot: number): LinkSource {
    const passed: Place[] = [];
    let place: Place = { side: "input", node, slot };
    for (;;) {
      const known = this.#found.get(place.node)?.get(keyOf(place));
      if (known !== undefined) {
        return this.#remember(passed, known);
      }
      this.#remember([place], { kind: "cycle", at: place.node });
      passed.push(place);
      const next: Place | LinkSource =
        place.side === "input" ? beforeInput(place, this.#promoted) : behindOutput(place, this.#promoted);
      if ("kind" in next) {
        return this.#remember(passed, next);
      }
      place = next;
    }
  }

  #remember(places: readonly Place[], source: LinkSource): LinkSource {
    for (const place of places) {
      const ofNode = this.#found.get(place.node) ?? new Map<string, LinkSource>();
      this.#found.set(place.node, ofNode.set(keyOf(place), source));
    }
    return source;
  }
}

function keyOf({ side, slot, type = "" }: Place): string {
  return `${side} ${slot} ${type}`;
}

function beforeInput(
  { node, slot, type }: Place & { side: "input" },
  promoted: PromotedWidgets,
): Place | LinkSource {
  const input = node.slots[slot];
  if (input?.link === undefined) {
    return { kind: "unlinked" };
  }
  const { graph, nodes, host } = node.within;
  const link = graph.links.get(input.link);
  if (link === undefined) {
    return { kind: "dangling", at: node };
  }
  if (host !== undefined && link.originId === subgraphInputId) {
    return outside(host, link.originSlot, promoted);
  }
  const origin = nodes.get(link.originId);
  return origin === undefined
    ? { kind: "dangling", at: node }
    : { side: "output", node: origin, slot: link.originSlot, type: type ?? input.type };
}

/** What comes into the subgraph of `host` by `slot`: what is linked there, else the value that is shown there. */
function outside(host: ExpandedNode, slot: number, promoted: PromotedWidgets): Place | LinkSource {
  if (host.slots[slot]?.link !== undefined) {
    return { side: "input", node: host, slot };
  }
  const value = promoted.valueOfSlot(host, slot);
  return value === undefined ? { kind: "unlinked" } : { kind: "value", value };
}

function behindOutput(
  { node, slot, type }: Place & { side: "output" },
  promoted: PromotedWidgets,
): Place | LinkSource {
  const { ui, part } = node;
  if (ui.mode === "muted") {
    return { kind: "dropped", at: node };
  }
  if (ui.mode === "bypassed") {
    const input = bypassSlot(node, slot, type);
    return input === undefined ? { kind: "dropped", at: node } : { side: "input", node, slot: input };
  }
  switch (part.kind) {
    case "subgraph":
      return part.inner === undefined
        ? { kind: "dropped", at: node }
        : inside(node, part.inner, slot, type, promoted);
    case "editor":
      return throughEditorNode({ side: "output", node, slot, type }, part.role, promoted);
    default:
      return { kind: "output", node, slot };
  }
}

function inside(
  host: ExpandedNode,
  inner: ExpandedGraph,
  slot: number,
  type: string,
  promoted: PromotedWidgets,
): Place | LinkSource {
  const link = boundaryLinksOf(inner.graph).outgoing.get(slot);
  if (link === undefined) {
    return { kind: "dropped", at: host };
  }
  if (link.originId === subgraphInputId) {
    return outside(host, link.originSlot, promoted);
  }
  const node = inner.nodes.get(link.originId);
  return node === undefined
    ? { kind: "dangling", at: host }
    : { side: "output", node, slot: link.originSlot, type };
}

function throughEditorNode(
  { node, slot, type }: Place & { side: "output" },
  role: string,
  promoted: PromotedWidgets,
): Place | LinkSource {
  switch (role) {
    case "reroute":
    case "setter":
      return { side: "input", node, slot, type };
    case "getter": {
      const setter = findSetter(node);
      return setter === undefined
        ? { kind: "dangling", at: node }
        : { side: "input", node: setter, slot: 0, type };
    }
    case "primitive": {
      const value = promoted.valueOfPrimitive(node);
      return value === undefined || value === null ? { kind: "unlinked" } : { kind: "value", value };
    }
    default:
      return { kind: "dangling", at: node };
  }
}

/** The setter of the name that `getter` gets, in its graph or in one around it. */
function findSetter({ ui, within }: ExpandedNode): ExpandedNode | undefined {
  const name = nameOfVariable(ui);
  for (let graph: ExpandedGraph | undefined = within; graph !== undefined; graph = graph.host?.within) {
    const setter = settersOf(graph).get(name);
    if (setter !== undefined) {
      return setter;
    }
  }
  return undefined;
}

function settersOf(graph: ExpandedGraph): ReadonlyMap<string, ExpandedNode> {
  const known = setters.get(graph);
  if (known !== undefined) {
    return known;
  }
  const found = new Map<string, ExpandedNode>();
  for (const node of graph.nodes.values()) {
    if (node.part.kind === "editor" && node.part.role === "setter" && !found.has(nameOfVariable(node.ui))) {
      found.set(nameOfVariable(node.ui), node);
    }
  }
  setters.set(graph, found);
  return found;
}

const setters = new WeakMap<ExpandedGraph, ReadonlyMap<string, ExpandedNode>>();

/** The input of a bypassed node that takes the place of output `slot`, for an input of type `wanted`. */
function bypassSlot({ slots, ui, part }: ExpandedNode, slot: number, wanted: string): number | undefined {
  if (wanted === "*") {
    return slots.length > slot ? slot : firstOf(slots, 0);
  }
  const declared = part.kind === "run" ? part.nodeClass.outputs[slot]?.type : undefined;
  const given = (declared === "COMFY_MATCHTYPE_V3" ? "*" : declared) ?? ui.outputs[slot]?.type ?? "*";
  const suits = ({ type }: LinkedSlot) => areCompatible(type, given) && areCompatible(type, wanted);
  const opposite = slots[slot];
  if (opposite !== undefined && suits(opposite)) {
    return slot;
  }
  const exact = slots.findIndex(({ type }) => type === wanted);
  return exact === -1 ? firstOf(slots, slots.findIndex(suits)) : exact;
}

function firstOf(slots: readonly LinkedSlot[], index: number): number | undefined {
  return index in slots ? index : undefined;
}

/** Types are names, several of them with commas between, or `*` for any. Case does not count. */
function areCompatible(a: string, b: string): boolean {
  if (a === "*" || b === "*") {
    return true;
  }
  const ofB = b.toLowerCase().split(",");
  return a
    .toLowerCase()
    .split(",")
    .some((type) => type === "*" || ofB.includes(type) || ofB.includes("*"));
}
