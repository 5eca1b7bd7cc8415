import type { NodeClass, NodeClasses } from "../node-class.ts";
import type { ConversionProblem } from "./conversion-problem.ts";
import { isCustomCombo, spellOutChoices } from "./custom-combo.ts";
import { type EditorRole, editorRoleOf } from "./editor-node.ts";
import type { Slot, Widget } from "./node-layout.ts";
import { shortName } from "./short-name.ts";
import type { UiGraph, UiInput, UiNode, UiSubgraph, UiWorkflow } from "./ui-workflow.ts";
import { layOutWithValues } from "./widget-values.ts";

/** A graph with all that is within its subgraphs. */
export interface ExpandedGraph {
  readonly graph: UiGraph;
  /** By id within the graph. */
  readonly nodes: ReadonlyMap<string, ExpandedNode>;
  /** The node that stands for it in the graph around it; absent for the workflow itself. */
  readonly host?: ExpandedNode;
}

export interface ExpandedNode {
  /** As in the graph in API format: the ids of the nodes around it come first. */
  readonly id: string;
  readonly ui: UiNode;
  readonly within: ExpandedGraph;
  readonly slots: readonly LinkedSlot[];
  /** Numbers of the slots that have a link, by its id. */
  readonly slotOfLink: ReadonlyMap<string, number>;
  readonly part: NodePart;
}

/** A slot with the link that ends there, if any. */
export interface LinkedSlot extends Slot {
  readonly link?: string;
}

/** What a node is to the graph. */
export type NodePart =
  | { readonly kind: "run"; readonly nodeClass: NodeClass; readonly widgets: readonly Widget[] }
  /** `isThere`: the backend has its class, and does not describe it. */
  | { readonly kind: "unknown"; readonly isThere: boolean }
  /** `inner` is absent if nothing in it runs, as the node is muted or bypassed. */
  | { readonly kind: "subgraph"; readonly subgraph: UiSubgraph; readonly inner?: ExpandedGraph }
  | { readonly kind: "editor"; readonly role: EditorRole };

/** Far more than anybody runs, and far less than subgraphs within subgraphs can add up to. */
const maxNodes = 10_000;

/** Subgraphs within each other. */
const maxDepth = 50;

/** Puts the nodes of its subgraphs wherever `workflow` uses them, and tells what each node is by `classes`. */
export function expandWorkflow(
  workflow: UiWorkflow,
  classes: NodeClasses,
): { readonly root: ExpandedGraph; readonly problems: readonly ConversionProblem[] } {
  const expander = new Expander(workflow, classes);
  return { root: expander.expand(workflow.root, [], undefined), problems: expander.problems };
}

/** All nodes of `graph` and of the graphs within it, from the outside in. */
export function* allNodes(graph: ExpandedGraph): Generator<ExpandedNode> {
  for (const node of graph.nodes.values()) {
    yield node;
    if (node.part.kind === "subgraph" && node.part.inner !== undefined) {
      yield* allNodes(node.part.inner);
    }
  }
}

/** What a problem says of the node that it is about. */
export function aboutNode({
  id,
  ui,
}: ExpandedNode): Pick<ConversionProblem, "nodeId" | "classType" | "title"> {
  return {
    nodeId: id,
    classType: shortName(ui.type),
    ...(ui.title !== "" && { title: shortName(ui.title) }),
  };
}

class Expander {
  readonly problems: ConversionProblem[] = [];
  readonly #workflow: UiWorkflow;
  readonly #classes: NodeClasses;
  #count = 0;

  constructor(workflow: UiWorkflow, classes: NodeClasses) {
    this.#workflow = workflow;
    this.#classes = classes;
  }

  /** `around` has the subgraphs that `graph` is within, from the outside in. */
  expand(graph: UiGraph, around: readonly UiSubgraph[], host: ExpandedNode | undefined): ExpandedGraph {
    const nodes = new Map<string, ExpandedNode>();
    const expanded: ExpandedGraph = { graph, nodes, ...(host !== undefined && { host }) };
    for (const ui of graph.nodes.values()) {
      this.#count += 1;
      if (this.#count > maxNodes) {
        this.#refuse(`with the nodes of its subgraphs, the workflow has more than ${maxNodes} nodes`);
        break;
      }
      nodes.set(ui.id, this.#expandNode(ui, expanded, around));
    }
    return expanded;
  }

  #refuse(message: string): void {
    if (!this.problems.some((problem) => problem.message === message)) {
      this.problems.push({
        kind: "too_many_nodes",
        severity: "error",
        nodeId: "",
        classType: "",
        message,
        remedy: "use fewer subgraphs within subgraphs",
      });
    }
  }

  #expandNode(ui: UiNode, within: ExpandedGraph, around: readonly UiSubgraph[]): ExpandedNode {
    const id = within.host === undefined ? ui.id : `${within.host.id}:${ui.id}`;
    const subgraph = this.#workflow.subgraphs.get(ui.type);
    if (subgraph !== undefined) {
      return this.#expandSubgraph({ id, ui, within }, subgraph, around);
    }
    const role = editorRoleOf(ui);
    if (role !== undefined) {
      return { id, ui, within, ...withIndex(ui.inputs), part: { kind: "editor", role } };
    }
    const nodeClass = this.#classes.get(ui.type);
    if (nodeClass === undefined || nodeClass.isUndescribed) {
      const part = { kind: "unknown", isThere: nodeClass !== undefined } as const;
      return { id, ui, within, ...withIndex(ui.inputs), part };
    }
    const spelled = isCustomCombo(nodeClass) ? spellOutChoices(nodeClass, ui) : { nodeClass, node: ui };
    const { slots, widgets } = layOutWithValues(spelled.nodeClass, spelled.node);
    const part = { kind: "run", nodeClass, widgets } as const;
    return { id, ui, within, ...withIndex(withLinks(slots, ui.inputs)), part };
  }

  #expandSubgraph(
    node: Pick<ExpandedNode, "id" | "ui" | "within">,
    subgraph: UiSubgraph,
    around: readonly UiSubgraph[],
  ): ExpandedNode {
    const { ui } = node;
    const linkOf = new Map(ui.inputs.map(({ name, link }) => [name, link]));
    const slots = subgraph.inputs.map(({ name, type }) => {
      const link = linkOf.get(name);
      return { name, type, isWidget: false, ...(link !== undefined && { link }) };
    });
    const part: { kind: "subgraph"; subgraph: UiSubgraph; inner?: ExpandedGraph } = {
      kind: "subgraph",
      subgraph,
    };
    const expanded: ExpandedNode = { ...node, ...withIndex(slots), part };
    if (around.includes(subgraph)) {
      this.problems.push({
        kind: "recursive_subgraph",
        severity: "error",
        ...aboutNode(expanded),
        message: `node ${node.id} puts the subgraph "${shortName(subgraph.name)}" into itself`,
        remedy: "take the node out of the subgraph",
      });
    } else if (around.length >= maxDepth) {
      this.#refuse(`the workflow has more than ${maxDepth} subgraphs within each other`);
    } else if (ui.mode === "active") {
      part.inner = this.expand(subgraph, [...around, subgraph], expanded);
    }
    return expanded;
  }
}

function withIndex(slots: readonly LinkedSlot[]): Pick<ExpandedNode, "slots" | "slotOfLink"> {
  const links = slots.flatMap(({ link }, slot) => (link === undefined ? [] : [[link, slot] as const]));
  return { slots, slotOfLink: new Map(links) };
}

/** Slots of a class with the links that a node has there, and behind them the slots that only the node has. */
function withLinks(slots: readonly Slot[], inputs: readonly UiInput[]): readonly LinkedSlot[] {
  const linkOf = new Map(inputs.map(({ name, link }) => [name, link]));
  const names = new Set(slots.map(({ name }) => name));
  return [
    ...slots.map((slot) => {
      const link = linkOf.get(slot.name);
      return link === undefined ? slot : { ...slot, link };
    }),
    // The other side of a widget that the class no longer has is nothing.
    ...inputs.filter(({ name, isWidget }) => !names.has(name) && !isWidget),
  ];
}
