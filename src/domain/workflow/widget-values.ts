import type { GraphValue } from "../graph.ts";
import type { NodeClass, NodeInput } from "../node-class.ts";
import { isItems } from "./input-spec.ts";
import { foreignKind, layOut, type NodeLayout, type Widget, type WidgetSource } from "./node-layout.ts";
import type { UiNode } from "./ui-workflow.ts";
import { widgetKindOf, widgetTypeOf } from "./widget-kind.ts";

/**
 * Lays out `node` and finds the saved values of its widgets, which are mostly told apart by nothing but their order.
 *
 * Nodes are often older than their class. Read as the class is now, values that have moved end up at widgets of other
 * types. Then those by name are taken, if the editor saved them as well, which can be older than the others in a file that
 * was edited by hand; else other ways to read them are tried, and the first one is taken whose values all fit.
 */
export function layOutWithValues(nodeClass: NodeClass, node: UiNode): NodeLayout {
  const { widgetValues: values } = node;
  const lay = (source: WidgetSource) => layOut(nodeClass.inputs, node, source);
  if (!isList(values)) {
    const layout = lay(new NamedValues(values));
    return { ...layout, widgets: [...layout.widgets, ...ownWidgets(layout, values)] };
  }
  const saved = nodeClass.inputs.some(({ type }) => type.startsWith("LOAD_3D"))
    ? values.filter((value) => !sceneButtons.has(value))
    : values;
  const asIs = lay(new ListedValues(withoutUnused(nodeClass, saved)));
  if (asIs.widgets.every(fits)) {
    return asIs;
  }
  if (node.namedValues !== undefined) {
    return lay(new NamedValues(node.namedValues));
  }
  const sockets = new Set(node.inputs.filter(({ isWidget }) => !isWidget).map(({ name }) => name));
  const others = [{ hasAllControls: false }, { hasAllControls: false, sockets }];
  return (
    others
      .map((reading) => lay(new ListedValues(saved, reading)))
      .find(({ widgets }) => widgets.every(fits)) ?? asIs
  );
}

/**
 * Widgets that the class has not: nodes that save values by name add some as they see fit, such as one for each setting of
 * a video format, and their classes take whatever comes. What is no plain value is only for the editor.
 */
function ownWidgets(
  { slots, widgets }: NodeLayout,
  values: Readonly<Record<string, GraphValue>>,
): readonly Widget[] {
  const names = new Set([...slots, ...widgets].map(({ name }) => name));
  return Object.entries(values)
    .filter(([name, value]) => !names.has(name) && typeof value !== "object")
    .map(([name, value]) => ({
      name,
      input: { name, isRequired: false, type: "*", options: {} },
      kind: foreignKind,
      value,
    }));
}

/** Whether `widget` can have its value at all. What a class makes of it is for the backend to say. */
export function fits({ input, value }: Widget): boolean {
  if (value === undefined || value === null) {
    return true;
  }
  switch (widgetTypeOf(input)) {
    case "INT":
    case "FLOAT":
      return typeof value === "number" || typeof value === "bigint";
    case "BOOLEAN":
      return typeof value === "boolean";
    case "STRING":
      return typeof value === "string";
    case "COMBO":
    case "COMFY_DYNAMICCOMBO_V3":
      return typeof value !== "object" || isItems(value);
    default:
      return true;
  }
}

/** What the editor saves for the buttons below a 3D scene, which not every version of it has. */
const sceneButtons: ReadonlySet<unknown> = new Set(["upload3dmodel", "uploadExtraResources", "clear"]);

/** What is saved of how a value changes after each run; `true` and `false` in old workflows. */
const controls: ReadonlySet<unknown> = new Set([
  "fixed",
  "increment",
  "increment-wrap",
  "decrement",
  "randomize",
  true,
  false,
]);

/**
 * Leaves out values of inputs that can only be linked: before version 1.16 of the frontend, they had widgets nonetheless.
 * See `migrateWidgetsValues` in `litegraphUtil.ts` of the frontend.
 */
function withoutUnused({ inputs }: NodeClass, values: readonly GraphValue[]): readonly GraphValue[] {
  const isUnused = inputs
    .filter((input) => input.options.forceInput === true || widgetKindOf(input)?.isSaved)
    .flatMap(({ options }) =>
      options.control_after_generate ? [options.forceInput === true, false] : [options.forceInput === true],
    );
  return isUnused.includes(true) && values.length === isUnused.length
    ? values.filter((_, i) => !isUnused[i])
    : values;
}

class NamedValues implements WidgetSource {
  readonly #values: Readonly<Record<string, GraphValue>>;

  constructor(values: Readonly<Record<string, GraphValue>>) {
    this.#values = values;
  }

  take(name: string): GraphValue | undefined {
    return Object.hasOwn(this.#values, name) ? this.#values[name] : undefined;
  }

  skip(): void {}

  hasForeignWidget(): boolean {
    return false;
  }
}

/** How values in order are read if they cannot be read as the class is now. */
interface Reading {
  /** Whether all that the class has now of how values change after each run was saved. */
  readonly hasAllControls?: boolean;
  /** Inputs of the node without a widget: others of an unknown type are taken to have one of somebody else's making. */
  readonly sockets?: ReadonlySet<string>;
}

class ListedValues implements WidgetSource {
  readonly #values: readonly GraphValue[];
  readonly #reading: Reading;
  #next = 0;

  constructor(values: readonly GraphValue[], reading: Reading = {}) {
    this.#values = values;
    this.#reading = reading;
  }

  take(): GraphValue | undefined {
    const value = this.#values[this.#next];
    this.#next += 1;
    return value;
  }

  skip({ type }: NodeInput): void {
    const { hasAllControls = true } = this.#reading;
    if (hasAllControls || type !== "INT" || controls.has(this.#values[this.#next])) {
      this.#next += 1;
    }
  }

  hasForeignWidget({ name, type, options }: NodeInput): boolean {
    const { sockets } = this.#reading;
    return (
      sockets !== undefined && !sockets.has(name) && options.forceInput !== true && !type.startsWith("COMFY_")
    );
  }
}

function isList<T>(values: readonly T[] | Readonly<Record<string, T>>): values is readonly T[] {
  return Array.isArray(values);
}
