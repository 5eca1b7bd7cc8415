import type { GraphNode, GraphValue, WorkflowGraph } from "../graph.ts";
import type { NodeClasses } from "../node-class.ts";
import type { ConversionProblem } from "./conversion-problem.ts";
import { isCustomCombo, placeOfChoice } from "./custom-combo.ts";
import {
  aboutNode,
  allNodes,
  type ExpandedGraph,
  type ExpandedNode,
  expandWorkflow,
} from "./expand-workflow.ts";
import { isItems } from "./input-spec.ts";
import { type LinkSource, LinkSources } from "./link-source.ts";
import type { Widget } from "./node-layout.ts";
import { PromotedWidgets } from "./promoted-widgets.ts";
import { replaceNames, settlePrompt } from "./saved-text.ts";
import { shortName } from "./short-name.ts";
import { Suggestions } from "./suggestions.ts";
import { readUiWorkflow, type UiMode } from "./ui-workflow.ts";
import { fits } from "./widget-values.ts";

/** A saved workflow as a graph in API format. */
export interface ConvertedWorkflow {
  /** What could be converted. It is what the editor would have run unless there is an error among the problems. */
  readonly graph: WorkflowGraph;
  /** All of them at once, in the order of the nodes. */
  readonly problems: readonly ConversionProblem[];
}

/**
 * Converts `workflow`, parsed JSON of what ComfyUI's editor saves (integers beyond 2^53 as `bigint`), to the graph that
 * the editor would send to a backend with `classes`.
 *
 * Nodes keep the ids of the file: a node within subgraphs is `12:5`, after the nodes that stand for these. What differs
 * from the editor on purpose is in docs/decisions.md.
 */
export function convertWorkflow(workflow: unknown, classes: NodeClasses): ConvertedWorkflow {
  const parsed = readUiWorkflow(workflow);
  const expanded = expandWorkflow(parsed.workflow, classes);
  const converter = new Converter(expanded.root, classes);
  const graph = converter.convert();
  return { graph, problems: [...parsed.problems, ...expanded.problems, ...converter.problems] };
}

class Converter {
  readonly problems: ConversionProblem[] = [];
  readonly #root: ExpandedGraph;
  readonly #classes: NodeClasses;
  readonly #promoted = new PromotedWidgets();
  readonly #sources = new LinkSources(this.#promoted);
  readonly #suggestions = new Suggestions();
  #known: ReadonlyMap<string, ExpandedNode> | undefined;

  constructor(root: ExpandedGraph, classes: NodeClasses) {
    this.#root = root;
    this.#classes = classes;
  }

  convert(): WorkflowGraph {
    const nodes: [string, GraphNode][] = [];
    for (const node of allNodes(this.#root)) {
      if (node.ui.mode !== "active") {
        continue;
      }
      if (node.part.kind === "run" || node.part.kind === "unknown") {
        nodes.push([node.id, this.#convertNode(node)]);
      } else if (node.part.kind === "editor") {
        this.#judgeEditorNode(node, node.part.role);
      }
    }
    return Object.fromEntries(nodes);
  }

  #convertNode(node: ExpandedNode): GraphNode {
    const { ui, part } = node;
    const inputs = new Map<string, GraphValue>();
    if (part.kind === "run") {
      for (const widget of part.widgets) {
        this.#addValue(inputs, node, widget);
      }
    } else if (part.kind === "unknown" && part.isThere) {
      this.#add("error", "class_not_described", node, {
        message: `the backend has the node class "${shortName(ui.type)}"${packOf(node)} and does not say what it takes, so that nobody can tell what the saved values are of`,
        remedy: "export the workflow in API format from the editor, which knows it, and send that",
      });
    } else {
      this.#add("error", "missing_node_type", node, {
        message: `the backend has no node class "${shortName(ui.type)}"${packOf(node)}`,
        remedy: this.#remedyFor(shortName(ui.type)),
        unknownName: shortName(ui.type),
      });
    }
    for (const [slot, { name, link }] of node.slots.entries()) {
      if (link !== undefined) {
        this.#addLinked(inputs, node, name, this.#sources.find(node, slot));
      }
    }
    if (part.kind === "run" && isCustomCombo(part.nodeClass)) {
      inputs.set("index", placeOfChoice(inputs));
    }
    const title = ui.title || (part.kind === "run" ? part.nodeClass.displayName : "") || ui.type;
    return { class_type: ui.type, inputs: Object.fromEntries(inputs), _meta: { title } };
  }

  #addValue(inputs: Map<string, GraphValue>, node: ExpandedNode, widget: Widget): void {
    const { name, kind } = widget;
    const isLinked = node.slots.some((slot) => slot.name === name && slot.link !== undefined);
    if (kind.madeBy !== undefined && !isLinked) {
      this.#add("error", "editor_only_value", node, {
        inputName: name,
        message: `${name} has no value before the editor ${kind.madeBy}`,
        remedy: "put a node that loads a file in its place",
      });
    }
    const value = this.#promoted.valueOf(node, widget);
    if (!kind.isSent || value === undefined) {
      return;
    }
    if (!isLinked && !fits({ ...widget, value })) {
      this.#add("warning", "value_out_of_step", node, {
        inputName: name,
        message: `the value saved for ${name} cannot be one of ${widget.input.type}`,
        remedy: "check the values of the node: the workflow may be older than its class",
      });
    }
    inputs.set(name, asSent(this.#textOf(node, widget, value), widget.input.type));
  }

  #textOf(node: ExpandedNode, { name, input }: Widget, value: GraphValue): GraphValue {
    if (typeof value !== "string") {
      return value;
    }
    if (input.options.dynamicPrompts === true) {
      const { text, isRandom } = settlePrompt(value);
      if (isRandom) {
        this.#add("warning", "random_choice", node, {
          inputName: name,
          message: `${name} offers choices in braces, of which the editor takes one at random; the first one is taken`,
          remedy: "write out what is wanted to have another one",
        });
      }
      return text;
    }
    if (name === "filename_prefix" && savingClasses.has(node.ui.type)) {
      return replaceNames(value, (nodeName, widgetName) => this.#valueByName(nodeName, widgetName));
    }
    if (node.ui.type.startsWith("KSampler") && name === "sampler_name") {
      return value.replace(/^sample_/, "");
    }
    return value;
  }

  /** The value of a widget of the node that people know by `nodeName`. */
  #valueByName(nodeName: string, widgetName: string): string | undefined {
    this.#known ??= byNames(this.#root);
    const node = this.#known.get(nodeName);
    const widget =
      node?.part.kind === "run" ? node.part.widgets.find(({ name }) => name === widgetName) : undefined;
    return node === undefined || widget === undefined
      ? undefined
      : String(this.#promoted.valueOf(node, widget) ?? "");
  }

  #addLinked(inputs: Map<string, GraphValue>, node: ExpandedNode, name: string, source: LinkSource): void {
    switch (source.kind) {
      case "output":
        inputs.set(name, [source.node.id, source.slot]);
        break;
      case "value":
        inputs.set(name, asSent(source.value, "*"));
        break;
      case "dropped":
        this.#add("warning", "link_dropped", node, {
          inputName: name,
          message: `${name} gets nothing: its link comes by way of node ${shortName(source.at.id)}, which ${whyNothing[source.at.ui.mode]}`,
          remedy: "change that node, or link something else, if the input is needed",
        });
        break;
      case "cycle":
        this.#add("error", "link_cycle", node, {
          inputName: name,
          message: `the link into ${name} comes round to itself at node ${shortName(source.at.id)}`,
          remedy: "cut the circle of links in the editor",
        });
        break;
      case "dangling":
        this.#add("error", "bad_link", node, {
          inputName: name,
          message: `the link into ${name} comes from nowhere at node ${shortName(source.at.id)}`,
          remedy: "link the input in the editor anew",
        });
        break;
      case "unlinked":
        break;
    }
  }

  #judgeEditorNode(node: ExpandedNode, role: string): void {
    switch (role) {
      case "note":
        this.#add("warning", "note_left_out", node, {
          message: "a node that is only for the editor was left out",
          remedy: "nothing to do",
        });
        break;
      case "group":
        this.#add("error", "group_node", node, {
          message: "the node stands for a group in a way that the editor has given up",
          remedy: "ungroup it in the editor, or make it a subgraph, and save the workflow anew",
        });
        break;
      case "broadcast":
        this.#add("error", "editor_only_value", node, {
          message: "the node gives to inputs that only the editor can find",
          remedy: "have the node make its links real in the editor, and save the workflow anew",
        });
        break;
      default:
        break;
    }
  }

  #remedyFor(type: string): string {
    if (uuid.test(type)) {
      return "save the workflow with the subgraph that the node stands for";
    }
    const nearest = this.#suggestions.remedyFor(type, "classes", [...this.#classes.keys()]);
    return `install what has it on the backend, or put another node in its place; ${nearest}`;
  }

  #add(
    severity: ConversionProblem["severity"],
    kind: ConversionProblem["kind"],
    node: ExpandedNode,
    details: Pick<ConversionProblem, "message" | "remedy" | "inputName" | "unknownName">,
  ): void {
    this.problems.push({ kind, severity, ...aboutNode(node), ...details });
  }
}

/** Classes whose prefix of file names the editor fills in. */
const savingClasses: ReadonlySet<string> = new Set([
  "CLIPSave",
  "LoraSave",
  "ModelSave",
  "Save3DAdvanced",
  "SaveAnimatedPNG",
  "SaveAnimatedWEBP",
  "SaveAudio",
  "SaveAudioAdvanced",
  "SaveAudioMP3",
  "SaveAudioOpus",
  "SaveGLB",
  "SaveGaussianSplat",
  "SaveImage",
  "SaveImageAdvanced",
  "SaveLatent",
  "SavePointCloud",
  "SaveSVGNode",
  "SaveVideo",
  "SaveWEBM",
  "VAESave",
]);

/** Why nothing comes from a node. */
const whyNothing: Readonly<Record<UiMode, string>> = {
  active: "gives nothing there",
  muted: "is muted",
  bypassed: "is bypassed and has no input to pass on",
};

/** The nodes under the names by which texts mean them: one of their own for that, else their title. The first one counts. */
function byNames(root: ExpandedGraph): ReadonlyMap<string, ExpandedNode> {
  const nodes = [...allNodes(root)];
  const byTitle = nodes.map((node) => [node.ui.title, node] as const);
  const byName = nodes.map((node) => [String(node.ui.properties["Node name for S&R"] ?? ""), node] as const);
  return new Map([...byName, ...byTitle].filter(([name]) => name !== "").reverse());
}

/** A list would be taken for a link. */
function asSent(value: GraphValue, type: string): GraphValue {
  if (type === "CURVE") {
    return { __type__: "CURVE", __value__: value };
  }
  return isItems(value) ? { __value__: value } : value;
}

function packOf({ ui: { properties } }: ExpandedNode): string {
  const pack = properties.cnr_id ?? properties.aux_id;
  return typeof pack === "string" && pack !== "" ? `, which is of the node pack "${shortName(pack)}"` : "";
}

const uuid = /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/i;
