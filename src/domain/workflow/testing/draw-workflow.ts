import type { GraphValue, WorkflowGraph } from "../../graph.ts";
import type { NodeClasses, NodeInput } from "../../node-class.ts";

/** How a graph is drawn. */
export interface Drawing {
  /** Whether links are objects, as in version 1, or lists. */
  readonly hasObjectLinks: boolean;
  /** Whether values are saved by name. */
  readonly hasNamedValues: boolean;
  /** Ids of nodes whose links come by way of so many reroutes. */
  readonly reroutes: Readonly<Record<string, number>>;
  /** Ids of nodes that are put into a subgraph. */
  readonly grouped: ReadonlySet<string>;
}

/** Id of the node that stands for the subgraph. */
export const groupId = "900";

const subgraphId = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa";

/** Draws a graph of classes with plain widgets, as the editor would save it. */
export function drawWorkflow(graph: WorkflowGraph, classes: NodeClasses, drawing: Drawing): unknown {
  const outer = new Sheet(drawing, 1);
  const inner = new Sheet(drawing, 1);
  const { grouped } = drawing;
  const incoming: { readonly name: string; readonly link: number; readonly linkIds: number[] }[] = [];
  const outgoing: { readonly name: string; readonly type: string; readonly linkIds: number[] }[] = [];
  const ports = new Map<string, number>();

  /** The output of the group that shows an output within. */
  const portOf = (id: string, slot: number, type: string) => {
    const key = `${id} ${slot}`;
    const port = ports.get(key) ?? outgoing.length;
    if (!ports.has(key)) {
      ports.set(key, port);
      outgoing.push({ name: key, type, linkIds: [inner.link(id, slot, "-20", port, type)] });
    }
    return port;
  };

  for (const [id, node] of Object.entries(graph)) {
    const nodeClass = classes.get(node.class_type);
    const isInner = grouped.has(id);
    const sheet = isInner ? inner : outer;
    const inputs: unknown[] = [];
    for (const input of nodeClass?.inputs ?? []) {
      const value = node.inputs[input.name];
      const base = {
        name: input.name,
        type: input.type,
        ...(isWidget(input) && { widget: { name: input.name } }),
      };
      if (!isLink(value)) {
        inputs.push({ ...base, link: null });
        continue;
      }
      const [origin, slot] = value;
      const at = inputs.length;
      if (isInner === grouped.has(origin)) {
        inputs.push({ ...base, link: sheet.rerouted(origin, slot, id, at, input.type) });
      } else if (isInner) {
        const name = `${id} ${input.name}`;
        const link = inner.link("-10", incoming.length, id, at, input.type);
        incoming.push({
          name,
          link: outer.rerouted(origin, slot, groupId, incoming.length, input.type),
          linkIds: [link],
        });
        inputs.push({ ...base, link });
      } else {
        const port = portOf(origin, slot, input.type);
        inputs.push({ ...base, link: outer.rerouted(groupId, port, id, at, input.type) });
      }
    }
    sheet.nodes.push({
      id: Number(id),
      type: node.class_type,
      title: node._meta?.title,
      mode: 0,
      inputs,
      widgets_values: valuesOf(nodeClass?.inputs ?? [], node.inputs, drawing),
    });
  }
  if (grouped.size > 0) {
    const inputs = incoming.map(({ name, link }) => ({ name, type: "*", link }));
    outer.nodes.push({ id: Number(groupId), type: subgraphId, mode: 0, inputs, outputs: [] });
  }
  const inputs = incoming.map(({ name, linkIds }) => ({ name, type: "*", linkIds }));
  return {
    nodes: outer.nodes,
    links: outer.links,
    version: drawing.hasObjectLinks ? 1 : 0.4,
    definitions: {
      subgraphs: [
        { id: subgraphId, name: "Group", nodes: inner.nodes, links: inner.links, inputs, outputs: outgoing },
      ],
    },
  };
}

/** Nodes and links that are drawn side by side. */
class Sheet {
  readonly nodes: unknown[] = [];
  readonly links: unknown[] = [];
  readonly #drawing: Drawing;
  #nextId: number;

  constructor(drawing: Drawing, firstId: number) {
    this.#drawing = drawing;
    this.#nextId = firstId;
  }

  link(origin: string, originSlot: number, target: string, targetSlot: number, type: string): number {
    const id = this.#nextId++;
    const [originId, targetId] = [Number(origin), Number(target)];
    this.links.push(
      this.#drawing.hasObjectLinks
        ? {
            id,
            origin_id: originId,
            origin_slot: originSlot,
            target_id: targetId,
            target_slot: targetSlot,
            type,
          }
        : [id, originId, originSlot, targetId, targetSlot, type],
    );
    return id;
  }

  rerouted(origin: string, originSlot: number, target: string, targetSlot: number, type: string): number {
    let [from, slot] = [origin, originSlot];
    for (let i = 0; i < (this.#drawing.reroutes[target] ?? 0); i += 1) {
      const reroute = String(1_000 + this.#nextId);
      const link = this.link(from, slot, reroute, 0, type);
      this.nodes.push({
        id: Number(reroute),
        type: "Reroute",
        inputs: [{ name: "", type: "*", link }],
        outputs: [],
      });
      [from, slot] = [reroute, 0];
    }
    return this.link(from, slot, target, targetSlot, type);
  }
}

function valuesOf(
  inputs: readonly NodeInput[],
  given: Readonly<Record<string, GraphValue>>,
  { hasNamedValues }: Drawing,
): unknown {
  const widgets = inputs.filter(isWidget);
  const savedValue = ({ name, type }: NodeInput) => {
    const value = given[name];
    return value === undefined || isLink(value) ? placeholders[type] : value;
  };
  if (hasNamedValues) {
    return Object.fromEntries(widgets.map((input) => [input.name, savedValue(input)]));
  }
  return widgets.flatMap((input) =>
    input.options.control_after_generate ? [savedValue(input), "randomize"] : [savedValue(input)],
  );
}

/** What the editor keeps of the widget of an input that is linked. */
const placeholders: Readonly<Record<string, GraphValue>> = {
  INT: 7,
  FLOAT: 0.5,
  STRING: "",
  BOOLEAN: true,
  COMBO: "",
};

function isWidget({ type }: NodeInput): boolean {
  return type in placeholders;
}

function isLink(value: GraphValue | undefined): value is readonly [string, number] {
  return Array.isArray(value);
}
