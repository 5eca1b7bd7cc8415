import type { GraphValue } from "../graph.ts";
import type { ConversionProblem } from "./conversion-problem.ts";
import { shortName } from "./short-name.ts";

/** What ComfyUI's editor saves, as far as it says what to run. */
export interface UiWorkflow {
  readonly root: UiGraph;
  /** By id, which is the type of the nodes that stand for one. */
  readonly subgraphs: ReadonlyMap<string, UiSubgraph>;
}

/** Nodes and the links between them: of the workflow itself, or within a subgraph. */
export interface UiGraph {
  readonly nodes: ReadonlyMap<string, UiNode>;
  readonly links: ReadonlyMap<string, UiLink>;
}

/** Nodes that are used as one, wherever a node has its id as type. */
export interface UiSubgraph extends UiGraph {
  readonly id: string;
  readonly name: string;
  readonly inputs: readonly UiSubgraphSlot[];
  readonly outputs: readonly UiSubgraphSlot[];
}

export interface UiSubgraphSlot {
  readonly name: string;
  readonly type: string;
}

export interface UiNode {
  readonly id: string;
  readonly type: string;
  /** Empty if it has none of its own. */
  readonly title: string;
  readonly mode: UiMode;
  readonly inputs: readonly UiInput[];
  /** The same by the id of their link. */
  readonly linkedInputs: ReadonlyMap<string, UiInput>;
  readonly outputs: readonly UiOutput[];
  readonly properties: Readonly<Record<string, GraphValue>>;
  /** By place, or, of nodes whose author chose so, by name. */
  readonly widgetValues: readonly GraphValue[] | Readonly<Record<string, GraphValue>>;
  /** The same by name, which newer editors save beside those by place. Not in a file that was made by other means. */
  readonly namedValues?: Readonly<Record<string, GraphValue>>;
}

/** What becomes of a node: it runs, it is left out with all of its links, or its links are passed on. */
export type UiMode = "active" | "muted" | "bypassed";

export interface UiInput {
  readonly name: string;
  readonly type: string;
  /** Id of the link that ends here. */
  readonly link?: string;
  /** Whether it is the other side of a widget. */
  readonly isWidget: boolean;
}

export interface UiOutput {
  readonly name: string;
  readonly type: string;
}

export interface UiLink {
  readonly originId: string;
  readonly originSlot: number;
  readonly targetId: string;
  readonly targetSlot: number;
}

/** In links within a subgraph, what stands for the inputs and outputs of the subgraph. */
export const subgraphInputId = "-10";
export const subgraphOutputId = "-20";

/**
 * Reads what the editor saves, in any of the shapes that it has had. What is not understood and says nothing of what to
 * run is passed over; nodes that make no sense are left out and named.
 */
export function readUiWorkflow(value: unknown): {
  readonly workflow: UiWorkflow;
  readonly problems: readonly ConversionProblem[];
} {
  const problems: ConversionProblem[] = [];
  const workflow = asRecord(value);
  if (!Array.isArray(workflow.nodes)) {
    problems.push({
      kind: "malformed_workflow",
      severity: "error",
      nodeId: "",
      classType: "",
      message: "this is no workflow of ComfyUI's editor: it has no list of nodes",
      remedy: "give a workflow as the editor saves it, or in API format",
    });
  }
  const root = readGraph(workflow, "", problems);
  const subgraphs = new Map<string, UiSubgraph>();
  for (const definition of subgraphDefinitions(workflow)) {
    const subgraph = readSubgraph(definition, problems);
    if (!subgraphs.has(subgraph.id)) {
      subgraphs.set(subgraph.id, subgraph);
    }
  }
  return { workflow: { root, subgraphs }, problems };
}

/** Subgraphs can be defined within each other; where they are defined does not matter. */
function* subgraphDefinitions(holder: JsonRecord): Generator<JsonRecord> {
  for (const item of asList(asRecord(holder.definitions).subgraphs)) {
    const definition = asRecord(item);
    yield definition;
    yield* subgraphDefinitions(definition);
  }
}

function readSubgraph(definition: JsonRecord, problems: ConversionProblem[]): UiSubgraph {
  const id = asId(definition.id) ?? "";
  const name = asText(definition.name);
  return {
    id,
    name,
    inputs: asList(definition.inputs).map(readSlot),
    outputs: asList(definition.outputs).map(readSlot),
    ...readGraph(definition, ` in subgraph "${shortName(name || id)}"`, problems),
  };
}

function readGraph(holder: JsonRecord, place: string, problems: ConversionProblem[]): UiGraph {
  const nodes = new Map<string, UiNode>();
  for (const [i, item] of asList(holder.nodes).entries()) {
    const node = readNode(asRecord(item));
    if (node === undefined) {
      problems.push(
        malformed(`item ${i} of the nodes${place} has no id or no type`, "delete it in the editor"),
      );
    } else if (nodes.has(node.id)) {
      problems.push(
        malformed(
          `two nodes${place} have the id ${shortName(node.id)}`,
          "copy one of them in the editor anew",
        ),
      );
    } else {
      nodes.set(node.id, node);
    }
  }
  const links = new Map<string, UiLink>();
  for (const item of asList(holder.links)) {
    const { id, link } = readLink(item);
    if (id !== undefined && link !== undefined) {
      links.set(id, link);
    }
  }
  return { nodes, links };
}

function malformed(message: string, remedy: string): ConversionProblem {
  return { kind: "malformed_node", severity: "error", nodeId: "", classType: "", message, remedy };
}

function readNode(node: JsonRecord): UiNode | undefined {
  const id = asId(node.id);
  const type = asText(node.type);
  if (id === undefined || type === "") {
    return undefined;
  }
  const { widgets_values: values, widgets_values_named: named } = node;
  const inputs = asList(node.inputs).map(readInput);
  return {
    id,
    type,
    title: asText(node.title),
    mode: modes[String(node.mode)] ?? "active",
    inputs,
    linkedInputs: new Map(inputs.flatMap((input) => (input.link === undefined ? [] : [[input.link, input]]))),
    outputs: asList(node.outputs).map(readSlot),
    properties: asGraphRecord(node.properties),
    widgetValues: isRecord(values) ? asGraphRecord(values) : asList(values).map(asGraphValue),
    ...(isRecord(named) && { namedValues: asGraphRecord(named) }),
  };
}

/** Those that are not here run: always, on an event or on a trigger, which ComfyUI makes no difference between. */
const modes: Readonly<Record<string, UiMode>> = { "2": "muted", "4": "bypassed" };

function readInput(value: unknown): UiInput {
  const input = asRecord(value);
  const link = asId(input.link);
  return {
    ...readSlot(input),
    ...(link !== undefined && { link }),
    isWidget: typeof input.widget === "object" && input.widget !== null,
  };
}

function readSlot(value: unknown): { readonly name: string; readonly type: string } {
  const { name, type } = asRecord(value);
  return { name: asText(name), type: typeOf(type) };
}

/** Types of slots are texts, save for 0 and the empty one, which mean any, and lists of choices in old workflows. */
function typeOf(type: unknown): string {
  if (Array.isArray(type)) {
    return "COMBO";
  }
  return asText(type) || "*";
}

/** A link is a list, as in version 0.4, or an object, as in version 1 and within subgraphs. */
function readLink(value: unknown): { readonly id: string | undefined; readonly link: UiLink | undefined } {
  const record = asRecord(value);
  const [id, originId, originSlot, targetId, targetSlot]: readonly unknown[] = Array.isArray(value)
    ? value
    : [record.id, record.origin_id, record.origin_slot, record.target_id, record.target_slot];
  const origin = asId(originId);
  const target = asId(targetId);
  return {
    id: asId(id),
    link:
      origin === undefined || target === undefined
        ? undefined
        : {
            originId: origin,
            originSlot: asSlot(originSlot),
            targetId: target,
            targetSlot: asSlot(targetSlot),
          },
  };
}

type JsonRecord = Readonly<Record<string, unknown>>;

function asRecord(value: unknown): JsonRecord {
  return isRecord(value) ? value : {};
}

function isRecord(value: unknown): value is JsonRecord {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function asText(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function asId(value: unknown): string | undefined {
  switch (typeof value) {
    case "number":
    case "bigint":
      return String(value);
    case "string":
      return value === "" ? undefined : value;
    default:
      return undefined;
  }
}

function asSlot(value: unknown): number {
  const slot = typeof value === "string" ? Number.parseInt(value, 10) : value;
  return typeof slot === "number" && Number.isSafeInteger(slot) && slot >= 0 ? slot : 0;
}

function asGraphRecord(value: unknown): Readonly<Record<string, GraphValue>> {
  return Object.fromEntries(
    Object.entries(asRecord(value)).map(([name, item]) => [name, asGraphValue(item)]),
  );
}

function asGraphValue(value: unknown): GraphValue {
  switch (typeof value) {
    case "string":
    case "number":
    case "bigint":
    case "boolean":
      return value;
    default:
      break;
  }
  if (Array.isArray(value)) {
    return value.map(asGraphValue);
  }
  return isRecord(value) ? asGraphRecord(value) : null;
}
