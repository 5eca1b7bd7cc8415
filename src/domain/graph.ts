/**
 * A value of a node input: JSON, with integers of any size as `bigint`. A link to another node is
 * `[nodeId, outputIndex]`.
 */
export type GraphValue =
  | string
  | number
  | bigint
  | boolean
  | null
  | readonly GraphValue[]
  | { readonly [key: string]: GraphValue };

/** A node of a workflow graph, in the words of ComfyUI's API format. */
export interface GraphNode {
  readonly class_type: string;
  readonly inputs: Readonly<Record<string, GraphValue>>;
  readonly _meta?: { readonly title: string };
}

/** A workflow in ComfyUI's API format: node id to node. */
export type WorkflowGraph = Readonly<Record<string, GraphNode>>;
