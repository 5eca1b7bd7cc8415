import type { FieldViolation } from "../errors.ts";
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
    const inputs = classes.get(node.class_type)?.inputs;
    if (!inputs?.some(({ name }) => name === FILENAME_PREFIX)) {
      return node;
    }
    const prefix = `${filePrefix}_${count}`;
    count += 1;
    return { ...node, inputs: { ...node.inputs, [FILENAME_PREFIX]: prefix } };
  });
}

/** A graph with files put in, or what is wrong with the places that they were given for. */
export type FileBinding =
  | { readonly ok: true; readonly graph: WorkflowGraph }
  | { readonly ok: false; readonly violations: readonly FieldViolation[] };

/**
 * Puts the names of files into inputs of a graph.
 *
 * @param fileNames by node id and input, as in `10.image`
 * @param fieldOf path of the field in the request that gave the file for such a place
 */
export function bindFiles(
  graph: WorkflowGraph,
  classes: NodeClasses,
  fileNames: Readonly<Record<string, string>>,
  fieldOf: (place: string) => string,
): FileBinding {
  const values = new Map<string, Record<string, GraphValue>>();
  const violations: FieldViolation[] = [];
  for (const [place, fileName] of Object.entries(fileNames)) {
    const target = findInput(graph, classes, place);
    if ("fault" in target) {
      violations.push({ field: fieldOf(place), description: target.fault });
    } else {
      values.set(target.nodeId, { ...values.get(target.nodeId), [target.inputName]: fileName });
    }
  }
  return violations.length > 0
    ? { ok: false, violations }
    : {
        ok: true,
        graph: mapNodes(graph, (node, id) => ({ ...node, inputs: { ...node.inputs, ...values.get(id) } })),
      };
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
  if (nodeClass === undefined) {
    return { nodeId, inputName }; // the class is complained of by itself
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
