import type { GraphNode, WorkflowGraph } from "../graph.ts";
import type { NodeClass, NodeClasses, NodeInput } from "../node-class.ts";
import { checkLiteral } from "./check-literal.ts";
import { aboutNode, type GraphProblem } from "./graph-problem.ts";
import { fits, type GraphLink, isDynamicType, readLink } from "./link.ts";
import { unwrapLiteral } from "./literal.ts";
import { mayCheckByItself } from "./own-checks.ts";
import { shortName } from "./short-name.ts";
import { Suggestions } from "./suggestions.ts";

/**
 * Finds everything that is wrong with a graph for a backend that has `classes`, by the rules of ComfyUI itself
 * (`validate_prompt` and `validate_inputs` of its `execution.py`): node by node in the order in which the outputs need
 * them. As there, classes must be known of all nodes, and everything else is asked only of those that an output node
 * needs. An error is something that ComfyUI refuses, a warning something that it may refuse or that is of no effect.
 *
 * Of a node whose class the backend does not describe only the links are followed, and a warning says so.
 *
 * Where ComfyUI would run some of the outputs and drop the others, the graph is wrong. What its Python code finds wrong in
 * values of other types than numbers, texts and choices shows only when the graph runs, and is not found here either.
 */
export function checkGraph(graph: WorkflowGraph, classes: NodeClasses): GraphProblem[] {
  return new GraphCheck(graph, classes).run();
}

class GraphCheck {
  readonly #graph: WorkflowGraph;
  readonly #classes: NodeClasses;
  readonly #suggestions = new Suggestions();
  readonly #problems: GraphProblem[] = [];

  constructor(graph: WorkflowGraph, classes: NodeClasses) {
    this.#graph = graph;
    this.#classes = classes;
  }

  run(): GraphProblem[] {
    const outputs: string[] = [];
    let mayHaveOutputs = false;
    for (const [id, node] of Object.entries(this.#graph)) {
      const nodeClass = this.#classes.get(node.class_type);
      if (nodeClass === undefined) {
        this.#reportUnknownClass(id, node);
      } else if (nodeClass.isUndescribed) {
        this.#warnOfUndescribedClass(id, node);
        mayHaveOutputs = true;
      } else if (nodeClass.isOutput) {
        outputs.push(id);
      }
    }
    if (outputs.length === 0 && this.#problems.length === 0 && !mayHaveOutputs) {
      this.#problems.push({
        kind: "prompt_no_outputs",
        severity: "error",
        nodeId: "",
        classType: "",
        message: "no node of the graph leaves anything behind",
        remedy: "add one that does, such as SaveImage",
      });
    }
    this.#walk(outputs);
    return this.#problems;
  }

  /** Checks each node that `outputs` need once, a node before those that it needs, and reports links that close a circle. */
  #walk(outputs: readonly string[]): void {
    // Where on the path a node is that is not done yet.
    const states = new Map<string, number | "done">();
    // Not by recursion: a graph of a thousand nodes in a row is unusual, but no reason to fall over.
    for (const output of outputs) {
      const path: { readonly id: string; readonly links: Iterator<NamedLink> }[] = [];
      const enter = (id: string, node: GraphNode) => {
        states.set(id, path.length);
        path.push({ id, links: this.#checkNode(id, node).values() });
      };
      const start = this.#nodeAt(output);
      if (start !== undefined && !states.has(output)) {
        enter(output, start);
      }
      for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
        const next = top.links.next();
        if (next.done) {
          states.set(top.id, "done");
          path.pop();
          continue;
        }
        const { inputName, nodeId } = next.value;
        const node = this.#nodeAt(nodeId);
        const state = states.get(nodeId);
        if (typeof state === "number") {
          // Of a long circle only its ends: a graph can close thousands of them.
          const ids = (start: number, end: number) => path.slice(start, end).map(({ id }) => id);
          const cycle =
            path.length - state > 10 ? [...ids(state, state + 9), "…", top.id] : ids(state, path.length);
          this.#reportCycle(top.id, inputName, cycle);
        } else if (node !== undefined && state === undefined) {
          enter(nodeId, node);
        }
      }
    }
  }

  /** Checks the inputs of a node; returns the links among them that are sound. */
  #checkNode(id: string, node: GraphNode): NamedLink[] {
    const nodeClass = this.#classes.get(node.class_type);
    if (nodeClass === undefined || nodeClass.isUndescribed) {
      return linksOf(node);
    }
    const links: NamedLink[] = [];
    for (const input of nodeClass.inputs) {
      const value = Object.hasOwn(node.inputs, input.name) ? node.inputs[input.name] : undefined;
      if (value === undefined) {
        this.#reportIfMissing(id, node, input);
        continue;
      }
      const link = readLink(value);
      if (typeof readLink(unwrapLiteral(value)) === "object" && link === "literal") {
        this.#error(id, node, input.name, {
          kind: "bad_linked_input",
          message: `${input.name} has a link in a "__value__", which ComfyUI would follow without having checked it`,
          remedy: 'give the link by itself, as ["node id", number of the output]',
        });
      } else if (link === "literal") {
        const finding = checkLiteral(nodeClass, input, value, this.#suggestions);
        if (finding !== undefined) {
          this.#problems.push({ ...aboutNode(id, node), inputName: input.name, ...finding });
        }
      } else if (link === undefined) {
        this.#error(id, node, input.name, {
          kind: "bad_linked_input",
          message: `${input.name} is a list, and no link`,
          remedy: 'a link is ["node id", number of the output]; give a list of values as {"__value__": […]}',
        });
      } else {
        this.#checkLink(id, node, nodeClass, input, link);
        links.push({ inputName: input.name, nodeId: link.nodeId });
      }
    }
    this.#warnOfUnknownInputs(id, node, nodeClass);
    return links;
  }

  #reportIfMissing(id: string, node: GraphNode, { name, type, isRequired }: NodeInput): void {
    if (!isRequired || (isDynamicType(type) && type !== MATCH_TYPE)) {
      return;
    }
    this.#error(id, node, name, {
      kind: "required_input_missing",
      message: `the required input ${name} is missing`,
      remedy: `link it to an output of type ${type}${isWidget(type) ? ", or give it a value" : ""}`,
    });
  }

  #checkLink(
    id: string,
    node: GraphNode,
    nodeClass: NodeClass,
    { name, type }: NodeInput,
    link: GraphLink,
  ): void {
    const source = this.#nodeAt(link.nodeId);
    if (source === undefined) {
      this.#error(id, node, name, {
        kind: "linked_node_missing",
        message: `${name} is linked to node "${shortName(link.nodeId)}", which is not in the graph`,
        remedy: "link it to one that is, or add that node",
      });
      return;
    }
    const sourceClass = this.#classes.get(source.class_type);
    if (sourceClass === undefined || sourceClass.isUndescribed) {
      return;
    }
    const from = `output ${link.index} of node "${shortName(link.nodeId)}" (${source.class_type})`;
    const output = sourceClass.outputs.at(link.index);
    if (output === undefined) {
      const { length } = sourceClass.outputs;
      this.#error(id, node, name, {
        kind: "linked_output_missing",
        message: `${name} is linked to ${from}, which has ${length}`,
        remedy: length === 0 ? "link it to another node" : `choose one from 0 to ${length - 1}`,
      });
    } else if (!fits(output.type, type)) {
      this.#problems.push({
        ...aboutNode(id, node),
        severity: mayCheckByItself(nodeClass) ? "warning" : "error",
        inputName: name,
        kind: "return_type_mismatch",
        message: `${name} takes ${type} and is linked to ${from}, which gives ${output.type}`,
        remedy: `link it to an output of type ${type}`,
      });
    }
  }

  #warnOfUnknownInputs(id: string, node: GraphNode, { name: className, inputs, module }: NodeClass): void {
    const known = new Set(inputs.map(({ name }) => name));
    const dynamic = inputs.filter(({ type }) => isDynamicType(type)).map(({ name }) => `${name}.`);
    for (const name of Object.keys(node.inputs)) {
      if (known.has(name) || dynamic.some((prefix) => name.startsWith(prefix))) {
        continue;
      }
      this.#problems.push({
        ...aboutNode(id, node),
        kind: "unknown_input",
        severity: "warning",
        inputName: name,
        message: `${className} has no input ${shortName(name)}${module === "nodes" ? ", and it has no effect" : ""}`,
        remedy: `leave it out, or use another: ${this.#suggestions.remedyFor(name, `inputs of ${className}`, [...known])}`,
      });
    }
  }

  #reportUnknownClass(id: string, node: GraphNode): void {
    this.#problems.push({
      ...aboutNode(id, node),
      kind: "missing_node_type",
      severity: "error",
      message: `the backend has no node class ${shortName(node.class_type)}`,
      remedy: `install the package that brings it, or use another class: ${this.#suggestions.remedyFor(node.class_type, "classes", [...this.#classes.keys()])}`,
      unknownName: node.class_type,
    });
  }

  /** @param cycle ids of its nodes, or of those at its ends */
  #warnOfUndescribedClass(id: string, node: GraphNode): void {
    this.#problems.push({
      ...aboutNode(id, node),
      kind: "class_not_described",
      severity: "warning",
      message: `the backend has the node class ${shortName(node.class_type)} and does not say what it takes, so that nothing of the node is checked`,
      remedy: "see that the values and links of the node are right; the backend checks them when it runs",
    });
  }

  #reportCycle(id: string, inputName: string, cycle: readonly string[]): void {
    const node = this.#nodeAt(id);
    if (node !== undefined) {
      this.#error(id, node, inputName, {
        kind: "dependency_cycle",
        message: `${inputName} closes a circle of nodes that wait for each other: ${cycle.map(shortName).join(" ← ")} ← ${shortName(cycle[0] ?? "")}`,
        remedy: "link it to a node outside of the circle",
      });
    }
  }

  #error(
    id: string,
    node: GraphNode,
    inputName: string,
    problem: Pick<GraphProblem, "kind" | "message" | "remedy">,
  ): void {
    this.#problems.push({ ...aboutNode(id, node), severity: "error", inputName, ...problem });
  }

  #nodeAt(id: string): GraphNode | undefined {
    return Object.hasOwn(this.#graph, id) ? this.#graph[id] : undefined;
  }
}

interface NamedLink {
  readonly inputName: string;
  readonly nodeId: string;
}

/** The links of a node of which nothing is known, one to each node. */
function linksOf({ inputs }: GraphNode): NamedLink[] {
  const links = new Map<string, NamedLink>();
  for (const [inputName, value] of Object.entries(inputs)) {
    const link = readLink(value);
    if (typeof link === "object" && !links.has(link.nodeId)) {
      links.set(link.nodeId, { inputName, nodeId: link.nodeId });
    }
  }
  return [...links.values()];
}

/** An input of which there is always one, whatever its type turns out to be. */
const MATCH_TYPE = "COMFY_MATCHTYPE_V3";

function isWidget(type: string): boolean {
  return ["INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"].includes(type);
}
