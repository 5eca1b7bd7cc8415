import type { GraphNode, GraphValue, WorkflowGraph } from "../graph.ts";
import type { NodeClasses } from "../node-class.ts";
import { isFileInput } from "./file-inputs.ts";
import { FILENAME_PREFIX } from "./policy.ts";

/**
 * Has every node that names its files by a `filename_prefix` use one that begins with `filePrefix`, whatever the graph
 * says, or does not say. One that no other job has keeps the files of jobs apart, and ComfyUI from answering with the
 * files of an earlier run of the same graph.
 */
export function prefixFiles(graph: WorkflowGraph, classes: NodeClasses, filePrefix: string): WorkflowGraph {
  let count = 0;
  return mapNodes(graph, (node) => {
    const nodeClass = classes.get(node.class_type);
    const isNamed = nodeClass?.isUndescribed
      ? Object.hasOwn(node.inputs, FILENAME_PREFIX)
      : nodeClass?.inputs.some(({ name }) => name === FILENAME_PREFIX);
    if (!isNamed) {
      return node;
    }
    const prefix = `${filePrefix}_${count}`;
    count += 1;
    return { ...node, inputs: { ...node.inputs, [FILENAME_PREFIX]: prefix } };
  });
}

/** A place that a file cannot be put in. */
export interface BindingFault {
  /** As it was given. */
  readonly place: string;
  /** What is wrong with it, and what would be right. */
  readonly description: string;
}

/**
 * Puts the names of files into inputs of a graph, as far as there are such inputs.
 *
 * @param fileNames by node id and input, as in `10.image`
 */
export function bindFiles(
  graph: WorkflowGraph,
  classes: NodeClasses,
  fileNames: Readonly<Record<string, string>>,
): { readonly graph: WorkflowGraph; readonly faults: readonly BindingFault[] } {
  const values = new Map<string, Record<string, GraphValue>>();
  const faults: BindingFault[] = [];
  for (const [place, fileName] of Object.entries(fileNames)) {
    const target = findInput(graph, classes, place);
    if ("fault" in target) {
      faults.push({ place, description: target.fault });
    } else {
      values.set(target.nodeId, { ...values.get(target.nodeId), [target.inputName]: fileName });
    }
  }
  const bind = (node: GraphNode, id: string) =>
    values.has(id) ? { ...node, inputs: { ...node.inputs, ...values.get(id) } } : node;
  return { graph: mapNodes(graph, bind), faults };
}

interface InputPlace {
  readonly nodeId: string;
  readonly inputName: string;
}

function findInput(
  graph: WorkflowGraph,
  classes: NodeClasses,
  place: string,
): InputPlace | { readonly fault: string } {
  const found = splitPlace(graph, place);
  if (found === undefined) {
    return { fault: "there is no such node; give the id of one and the name of its input, as in 10.image" };
  }
  const { node, nodeId, inputName } = found;
  const nodeClass = classes.get(node.class_type);
  if (nodeClass === undefined || nodeClass.isUndescribed) {
    return { nodeId, inputName }; // the class is complained of by itself, or nobody knows what it has
  }
  const files = nodeClass.inputs.filter((input) => isFileInput(nodeClass, input)).map(({ name }) => name);
  if (files.includes(inputName)) {
    return { nodeId, inputName };
  }
  const hint = files.length > 0 ? `; it has ${files.join(", ")}` : ", and has none at all";
  return { fault: `${node.class_type} has no input for a file by this name${hint}` };
}

/** Node ids and input names may both have dots in them. */
function splitPlace(
  graph: WorkflowGraph,
  place: string,
): (InputPlace & { readonly node: GraphNode }) | undefined {
  for (let dot = place.indexOf("."); dot !== -1; dot = place.indexOf(".", dot + 1)) {
    const nodeId = place.slice(0, dot);
    const node = Object.hasOwn(graph, nodeId) ? graph[nodeId] : undefined;
    if (node !== undefined) {
      return { node, nodeId, inputName: place.slice(dot + 1) };
    }
  }
  return undefined;
}

function mapNodes(graph: WorkflowGraph, change: (node: GraphNode, id: string) => GraphNode): WorkflowGraph {
  return Object.fromEntries(Object.entries(graph).map(([id, node]) => [id, change(node, id)]));
}
