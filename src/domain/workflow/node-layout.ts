import type { GraphValue } from "../graph.ts";
import type { NodeInput } from "../node-class.ts";
import { asItems, asMembers, readInputSpecs } from "./input-spec.ts";
import type { UiNode } from "./ui-workflow.ts";
import { type WidgetKind, widgetKindOf, widgetTypeOf } from "./widget-kind.ts";

/** The inputs of a node as the editor lays them out, in its order. */
export interface NodeLayout {
  /** What can be linked, the other sides of widgets included. */
  readonly slots: readonly Slot[];
  readonly widgets: readonly Widget[];
}

export interface Slot {
  readonly name: string;
  readonly type: string;
  readonly isWidget: boolean;
}

/** A widget with its value, which is `undefined` if neither the workflow nor the class has one. */
export interface Widget {
  /** Of the input in the graph. */
  readonly name: string;
  readonly input: NodeInput;
  readonly kind: WidgetKind;
  readonly value: GraphValue | undefined;
}

/** Where the values of a node's widgets come from. */
export interface WidgetSource {
  /** The saved value of the next widget, whose name is `name`; `undefined` if none is saved. */
  take(name: string): GraphValue | undefined;
  /** Passes over a value that is saved behind that of the widget of `input` and is not for the graph. */
  skip(input: NodeInput): void;
  /** Whether an input of a type that is not known here has a widget of somebody else's making. */
  hasForeignWidget(input: NodeInput): boolean;
}

/**
 * Lays out a node whose class has `inputs`. Inputs that depend on the value of another, or on what is linked, are among
 * them: they are named after it, as in `resize_type.width` and `images.image0`.
 *
 * See `addInputs` in `litegraphService.ts` and `dynamicWidgets.ts` of ComfyUI's frontend.
 */
export function layOut(inputs: readonly NodeInput[], node: UiNode, source: WidgetSource): NodeLayout {
  const layout = new Layout(node, source);
  for (const input of inputs) {
    layout.addSocket(input);
  }
  for (const input of inputs) {
    layout.addWidget(input);
  }
  layout.addGrownWidgets();
  return layout;
}

/** Of a widget that somebody else's extension of the editor makes. */
export const foreignKind: WidgetKind = { isSaved: true, isSent: true, placesBehind: 0 };

/** Nobody needs more, and a number in a file can say anything. */
const maxRows = 1_000;

class Layout implements NodeLayout {
  readonly slots: Slot[] = [];
  readonly widgets: Widget[] = [];
  readonly #source: WidgetSource;
  readonly #linked: ReadonlySet<string>;
  /** Widgets that came with what is linked: the editor adds them behind all others. */
  readonly #grown: NodeInput[] = [];

  constructor(node: UiNode, source: WidgetSource) {
    this.#source = source;
    this.#linked = new Set(node.inputs.filter(({ link }) => link !== undefined).map(({ name }) => name));
  }

  addSocket(input: NodeInput): void {
    if (this.#kindOf(input) !== undefined) {
      return;
    }
    switch (input.type) {
      case "COMFY_AUTOGROW_V3":
        this.#addGrowing(input);
        break;
      case "COMFY_MATCHTYPE_V3":
        this.slots.push({ name: input.name, type: matchedTypes(input), isWidget: false });
        break;
      default:
        this.slots.push({ name: input.name, type: input.type, isWidget: false });
    }
  }

  addWidget(input: NodeInput): void {
    const kind = this.#kindOf(input);
    if (kind === undefined) {
      return;
    }
    const saved = kind.isSaved ? this.#source.take(input.name) : undefined;
    const value = withDefault(saved, input, kind);
    this.widgets.push({ name: input.name, input, kind, value });
    this.slots.push({ name: input.name, type: input.type, isWidget: true });
    for (let place = 0; place < kind.placesBehind; place += 1) {
      this.#source.skip(input);
    }
    for (const member of membersOf(input, value)) {
      this.addSocket(member);
      this.addWidget(member);
    }
  }

  addGrownWidgets(): void {
    for (const input of this.#grown) {
      this.addWidget(input);
    }
  }

  #kindOf(input: NodeInput): WidgetKind | undefined {
    return widgetKindOf(input) ?? (this.#source.hasForeignWidget(input) ? foreignKind : undefined);
  }

  /** An input that has one row more than are linked. */
  #addGrowing(input: NodeInput): void {
    const template = asMembers(input.options.template);
    const members = readInputSpecs(template.input);
    const names = template.names === undefined ? undefined : asItems(template.names).map(String);
    const rows = Array.from(
      { length: Math.min(names?.length ?? asCount(template.max, 100), maxRows) },
      (_, row) =>
        members.map((member) => {
          const name =
            names?.[row] ?? `${members.length === 1 ? asText(template.prefix) : member.name}${row}`;
          return { ...member, name: `${input.name}.${name}` };
        }),
    );
    const atFirst = asCount(template.min, 1) + 1;
    const lastLinked = rows.findLastIndex((row) => row.some(({ name }) => this.#linked.has(name)));
    for (const [i, row] of rows.slice(0, Math.max(atFirst, lastLinked + 2)).entries()) {
      for (const member of row) {
        this.addSocket(member);
        if (i < atFirst) {
          this.addWidget(member);
        } else {
          this.#grown.push(member);
        }
      }
    }
  }
}

/** The inputs that the editor adds for the value of `input`. */
function membersOf(input: NodeInput, value: GraphValue | undefined): readonly NodeInput[] {
  const within = (prefix: string, members: readonly NodeInput[]) =>
    members.map((member) => ({ ...member, name: `${prefix}.${member.name}` }));
  switch (widgetTypeOf(input)) {
    case "COMFY_DYNAMICCOMBO_V3": {
      const chosen = optionsOf(input).find(({ key }) => key === value);
      return within(input.name, readInputSpecs(chosen?.inputs));
    }
    case "COMFY_DYNAMICGROUP_V3": {
      const row = readInputSpecs(input.options.template);
      const count = Math.max(asCount(value, 0), asCount(input.options.min, 0));
      return Array.from({ length: Math.min(count, maxRows) }, (_, i) =>
        within(`${input.name}.${i}`, row),
      ).flat();
    }
    default:
      return [];
  }
}

function optionsOf({ options }: NodeInput): readonly Readonly<Record<string, GraphValue>>[] {
  return asItems(options.options).map(asMembers);
}

function withDefault(
  saved: GraphValue | undefined,
  input: NodeInput,
  { initial }: WidgetKind,
): GraphValue | undefined {
  const first = input.choices?.[0] ?? optionsOf(input)[0]?.key;
  // A choice of nothing is none, for the editor too.
  return saved === undefined || (saved === null && first !== undefined)
    ? (input.default ?? first ?? initial)
    : saved;
}

function matchedTypes({ options }: NodeInput): string {
  return asText(asMembers(options.template).allowed_types) || "*";
}

function asText(value: GraphValue | undefined): string {
  return typeof value === "string" ? value : "";
}

function asCount(value: GraphValue | undefined, otherwise: number): number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : otherwise;
}
