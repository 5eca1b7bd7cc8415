import type { GraphValue } from "../graph.ts";
import { boundaryLinksOf } from "./boundary-links.ts";
import type { ExpandedNode } from "./expand-workflow.ts";
import { asItems } from "./input-spec.ts";
import type { Widget } from "./node-layout.ts";

/**
 * The values of widgets that nodes of subgraphs show for the nodes within. They are those of the node outside: each place
 * where a subgraph is used can have others.
 *
 * See `SubgraphNode.ts` and, for how the editor did it before, `proxyWidgetMigration.ts` of ComfyUI's frontend.
 */
export class PromotedWidgets {
  readonly #settings = new WeakMap<ExpandedNode, Settings>();

  /** The value of `widget` of `node`, if nothing is linked to it. */
  valueOf(node: ExpandedNode, widget: Widget): GraphValue | undefined {
    return this.#setFromOutside(node, widget.name) ?? widget.value;
  }

  /** The value that a node which holds a value for widgets gives them, if it has one of its own. */
  valueOfPrimitive(node: ExpandedNode): GraphValue | undefined {
    return this.#setFromOutside(node, primitiveWidget) ?? Object.values(node.ui.widgetValues)[0];
  }

  /** The value of slot `slot` of the subgraph node `host`; `undefined` if it shows no widget, or nobody set it. */
  valueOfSlot(host: ExpandedNode, slot: number): GraphValue | undefined {
    const target = targetOf(host, slot);
    if (target === undefined) {
      return undefined;
    }
    const name = host.slots[slot]?.name ?? "";
    return (
      this.#setFromOutside(host, name) ?? this.#settingsOf(host).slots.get(slot) ?? this.#valueWithin(target)
    );
  }

  #valueWithin({ node, slot }: Target): GraphValue | undefined {
    const widget = widgetAt(node, slot);
    return widget === undefined ? this.valueOfSlot(node, slot) : this.valueOf(node, widget);
  }

  #setFromOutside({ within: { host }, ui }: ExpandedNode, name: string): GraphValue | undefined {
    return host && this.#settingsOf(host).widgets.get(keyOf(ui.id, name));
  }

  #settingsOf(host: ExpandedNode): Settings {
    const known = this.#settings.get(host);
    if (known !== undefined) {
      return known;
    }
    const settings = readSettings(host);
    this.#settings.set(host, settings);
    return settings;
  }
}

/** What a subgraph node sets within the subgraph. */
interface Settings {
  /** By slot of the subgraph node. */
  readonly slots: ReadonlyMap<number, GraphValue>;
  /** Of widgets within that no slot leads to, by {@link keyOf}. */
  readonly widgets: ReadonlyMap<string, GraphValue>;
}

/** The node within that a slot shows a widget of. */
interface Target {
  readonly node: ExpandedNode;
  /** Of the node within. */
  readonly slot: number;
}

/** Stands for the one widget of a node that holds a value, whatever its name is. */
const primitiveWidget = "";

function keyOf(nodeId: string, widgetName: string): string {
  return `${nodeId} ${widgetName}`;
}

/**
 * Values are saved in the order of the slots that show a widget; while a list says what is shown, which is how the editor
 * used to do it, in the order of that.
 */
function readSettings(host: ExpandedNode): Settings {
  const slots = new Map<number, GraphValue>();
  const widgets = new Map<string, GraphValue>();
  const { widgetValues: values } = host.ui;
  if (!isList(values)) {
    for (const [slot, { name }] of host.slots.entries()) {
      setValue(slots, slot, Object.hasOwn(values, name) ? values[name] : undefined);
    }
    return { slots, widgets };
  }
  const targets = host.slots.map((_, slot) => targetOf(host, slot));
  const shown = [...targets.keys()].filter((slot) => targets[slot] !== undefined || showedWidget(host, slot));
  for (const [i, slot] of shown.entries()) {
    setValue(slots, slot, values[i]);
  }
  for (const [i, entry] of asItems(host.ui.properties.proxyWidgets).entries()) {
    const [nodeId, widgetName] = asItems(entry).map(String);
    if (nodeId === undefined || widgetName === undefined) {
      continue;
    }
    const name = widgetName.replace(/^(?:\s*\d+\s*:\s*)+/, "");
    const slot =
      nodeId === "-1"
        ? host.slots.findIndex((candidate) => candidate.name === widgetName)
        : targets.findIndex((target) => target !== undefined && leadsTo(target, nodeId, [widgetName, name]));
    if (slot !== -1) {
      setValue(slots, slot, values[i]);
    } else {
      setValue(widgets, keyOf(nodeId, nameWithin(host, nodeId, name)), values[i]);
    }
  }
  return { slots, widgets };
}

function setValue<K>(values: Map<K, GraphValue>, key: K, value: GraphValue | undefined): void {
  if (value !== undefined && value !== null) {
    values.set(key, value);
  }
}

/** How the settings call what the list of shown widgets calls `name`. */
function nameWithin(host: ExpandedNode, nodeId: string, name: string): string {
  const node = innerNodes(host).get(nodeId);
  if (node?.part.kind === "editor") {
    return primitiveWidget;
  }
  if (node?.part.kind !== "subgraph" || node.slots.some((slot) => slot.name === name)) {
    return name;
  }
  const shown = node.slots.find((_, slot) => {
    const target = targetOf(node, slot);
    return target?.node.slots[target.slot]?.name === name;
  });
  return shown?.name ?? name;
}

function leadsTo({ node, slot }: Target, nodeId: string, names: readonly string[]): boolean {
  return node.ui.id === nodeId && names.includes(node.slots[slot]?.name ?? "");
}

/** The first widget that slot `slot` of the subgraph node `host` leads to, which may itself be shown by a subgraph node. */
function targetOf(host: ExpandedNode, slot: number): Target | undefined {
  if (host.part.kind !== "subgraph" || host.part.inner === undefined) {
    return undefined;
  }
  const { inner } = host.part;
  for (const link of boundaryLinksOf(inner.graph).incoming.get(slot) ?? []) {
    const node = inner.nodes.get(inner.graph.links.get(link)?.targetId ?? "");
    const at = node?.slots.findIndex((candidate) => candidate.link === link) ?? -1;
    if (
      node !== undefined &&
      at !== -1 &&
      (widgetAt(node, at) !== undefined || targetOf(node, at) !== undefined)
    ) {
      return { node, slot: at };
    }
  }
  return undefined;
}

/** Whether a slot showed a widget when it was saved, be it of a class that is not known or that has changed since. */
function showedWidget({ part }: ExpandedNode, slot: number): boolean {
  if (part.kind !== "subgraph" || part.inner === undefined) {
    return false;
  }
  const { graph } = part.inner;
  return (boundaryLinksOf(graph).incoming.get(slot) ?? []).some((link) => {
    const target = graph.nodes.get(graph.links.get(link)?.targetId ?? "");
    return target?.inputs.some((input) => input.link === link && input.isWidget) === true;
  });
}

function widgetAt({ part, slots }: ExpandedNode, slot: number): Widget | undefined {
  return part.kind === "run" ? part.widgets.find(({ name }) => name === slots[slot]?.name) : undefined;
}

function innerNodes({ part }: ExpandedNode): ReadonlyMap<string, ExpandedNode> {
  return (part.kind === "subgraph" ? part.inner?.nodes : undefined) ?? new Map();
}

function isList(values: ExpandedNode["ui"]["widgetValues"]): values is readonly GraphValue[] {
  return Array.isArray(values);
}
