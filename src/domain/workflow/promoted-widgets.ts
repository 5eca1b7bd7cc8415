import type { GraphValue } from "../graph.ts";
import { boundaryLinksOf } from "./boundary-links.ts";
import type { ExpandedGraph, ExpandedNode } from "./expand-workflow.ts";
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
  readonly #targets = new WeakMap<ExpandedNode, readonly (Target | undefined)[]>();

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
    const target = this.#targetsOf(host)[slot];
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
    const settings = this.#readSettings(host);
    this.#settings.set(host, settings);
    return settings;
  }

  /**
   * Values are saved in the order of the slots that show a widget; while a list says what is shown, which is how the
   * editor used to do it, in the order of that.
   */
  #readSettings(host: ExpandedNode): Settings {
    const slots = new Map<number, GraphValue>();
    const widgets = new Map<string, GraphValue>();
    const { widgetValues: values } = host.ui;
    if (!isList(values)) {
      for (const [slot, { name }] of host.slots.entries()) {
        setValue(slots, slot, Object.hasOwn(values, name) ? values[name] : undefined);
      }
      return { slots, widgets };
    }
    const targets = this.#targetsOf(host);
    const shown = [...targets.keys()].filter(
      (slot) => targets[slot] !== undefined || showedWidget(host, slot),
    );
    for (const [i, slot] of shown.entries()) {
      setValue(slots, slot, values[i]);
    }
    const slotOfName = firstOfEach(host.slots.map(({ name }, slot) => [name, slot]));
    const slotOfTarget = firstOfEach(targets.map((target, slot) => [target && keyOfTarget(target), slot]));
    for (const [i, entry] of asItems(host.ui.properties.proxyWidgets).entries()) {
      const [nodeId = "", widgetName = ""] = asItems(entry).map(String);
      const name = widgetName.replace(/^(?:\s*\d+\s*:)+\s*/, "");
      const slot =
        nodeId === "-1"
          ? slotOfName.get(widgetName)
          : (slotOfTarget.get(keyOf(nodeId, widgetName)) ?? slotOfTarget.get(keyOf(nodeId, name)));
      if (slot === undefined) {
        setValue(widgets, keyOf(nodeId, this.#nameWithin(host, nodeId, name)), values[i]);
      } else {
        setValue(slots, slot, values[i]);
      }
    }
    return { slots, widgets };
  }

  /** How the settings call what the list of shown widgets calls `name`. */
  #nameWithin(host: ExpandedNode, nodeId: string, name: string): string {
    const node = innerGraph(host)?.nodes.get(nodeId);
    if (node?.part.kind === "editor") {
      return primitiveWidget;
    }
    if (node?.part.kind !== "subgraph" || node.slots.some((slot) => slot.name === name)) {
      return name;
    }
    const shown = this.#targetsOf(node).findIndex((target) => target?.node.slots[target.slot]?.name === name);
    return node.slots[shown]?.name ?? name;
  }

  /** For each slot of a subgraph node the first widget that it leads to, which may itself be shown by a subgraph node. */
  #targetsOf(host: ExpandedNode): readonly (Target | undefined)[] {
    const known = this.#targets.get(host);
    if (known !== undefined) {
      return known;
    }
    const inner = innerGraph(host);
    const targets = host.slots.map((_, slot) => inner && this.#findTarget(inner, slot));
    this.#targets.set(host, targets);
    return targets;
  }

  #findTarget({ graph, nodes }: ExpandedGraph, slot: number): Target | undefined {
    for (const link of boundaryLinksOf(graph).incoming.get(slot) ?? []) {
      const node = nodes.get(graph.links.get(link)?.targetId ?? "");
      const at = node?.slotOfLink.get(link);
      if (node === undefined || at === undefined) {
        continue;
      }
      if (widgetAt(node, at) !== undefined || this.#targetsOf(node)[at] !== undefined) {
        return { node, slot: at };
      }
    }
    return undefined;
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

function setValue<K>(values: Map<K, GraphValue>, key: K, value: GraphValue | undefined): void {
  if (value !== undefined && value !== null) {
    values.set(key, value);
  }
}

function keyOfTarget({ node, slot }: Target): string {
  return keyOf(node.ui.id, node.slots[slot]?.name ?? "");
}

function firstOfEach(
  entries: readonly (readonly [string | undefined, number])[],
): ReadonlyMap<string | undefined, number> {
  return new Map(entries.toReversed());
}

/** Whether a slot showed a widget when it was saved, be it of a class that is not known or that has changed since. */
function showedWidget(host: ExpandedNode, slot: number): boolean {
  const graph = innerGraph(host)?.graph;
  return (
    graph !== undefined &&
    (boundaryLinksOf(graph).incoming.get(slot) ?? []).some(
      (link) =>
        graph.nodes.get(graph.links.get(link)?.targetId ?? "")?.linkedInputs.get(link)?.isWidget === true,
    )
  );
}

function widgetAt({ part, slots }: ExpandedNode, slot: number): Widget | undefined {
  return part.kind === "run" ? part.widgets.find(({ name }) => name === slots[slot]?.name) : undefined;
}

function innerGraph({ part }: ExpandedNode): ExpandedGraph | undefined {
  return part.kind === "subgraph" ? part.inner : undefined;
}

function isList(values: ExpandedNode["ui"]["widgetValues"]): values is readonly GraphValue[] {
  return Array.isArray(values);
}
