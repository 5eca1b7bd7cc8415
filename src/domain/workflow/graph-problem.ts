import type { NodeFailure } from "../errors.ts";
import type { GraphNode } from "../graph.ts";
import type { ConversionProblemKind } from "./conversion-problem.ts";

/** Something that is wrong with a workflow graph, or that may be. */
export interface GraphProblem {
  readonly kind: GraphProblemKind | ConversionProblemKind;
  /**
   * Whether the graph is of no use because of it. A warning is something that only the backend can judge, such as a value
   * of an input that a class of somebody else checks by rules of its own.
   */
  readonly severity: "error" | "warning";
  /** Empty if it is about the graph as a whole. */
  readonly nodeId: string;
  /** Empty if it is about the graph as a whole, or the node has no class. */
  readonly classType: string;
  /** Of the node, if the graph gives it one. */
  readonly title?: string;
  readonly inputName?: string;
  /** What is wrong, for people. Never holds a prompt. */
  readonly message: string;
  /** What to do about it, for people. */
  readonly remedy: string;
  /** The name that is not known, where one is: of a class, or of a choice such as a model. */
  readonly unknownName?: string;
}

/** What the check of a graph finds, in the words of ComfyUI's own validation errors where it has a word for it. */
export type GraphProblemKind =
  /** A node is not what a node has to be. */
  | "malformed_node"
  | "missing_node_type"
  | "required_input_missing"
  /** A value cannot be converted to the type of its input. */
  | "invalid_input_type"
  | "value_smaller_than_min"
  | "value_bigger_than_max"
  | "value_not_in_list"
  /** A list that is no link. */
  | "bad_linked_input"
  /** A link to a node that is not in the graph. */
  | "linked_node_missing"
  /** A link to an output that the node does not have. */
  | "linked_output_missing"
  | "return_type_mismatch"
  | "dependency_cycle"
  | "prompt_no_outputs"
  /** An input that the class does not have, and that ComfyUI ignores. */
  | "unknown_input"
  /** The backend has the class, and says nothing that makes sense of it. */
  | "class_not_described"
  /** The server does not let callers use this class. */
  | "class_not_allowed"
  /** The server does not let callers name such a file. */
  | "path_not_allowed";

/** What a problem of the node `nodeId` says of the node. */
export function aboutNode(
  nodeId: string,
  node: GraphNode,
): Pick<GraphProblem, "nodeId" | "classType" | "title"> {
  const title = node._meta?.title;
  return { nodeId, classType: node.class_type, ...(title !== undefined && { title }) };
}

/** Whether any of `problems` keeps the graph from being run. */
export function hasErrors(problems: readonly GraphProblem[]): boolean {
  return problems.some(({ severity }) => severity === "error");
}

/** A problem as a failure of its node. */
export function toNodeFailure({
  kind,
  nodeId,
  classType,
  title,
  inputName,
  message,
  remedy,
}: GraphProblem): NodeFailure {
  return {
    nodeId,
    classType,
    ...(title !== undefined && { title }),
    ...(inputName !== undefined && { inputName }),
    errorType: kind,
    message: `${message}; ${remedy}`,
  };
}
