import type { WorkflowGraph } from "./graph.ts";

/** A workflow graph, what it needs, and where in it the outcome of the job is. */
export interface GenerationPlan {
  readonly graph: WorkflowGraph;
  /** Files that the graph reads, which the backend must have before it is submitted. */
  readonly inputs: readonly PlannedInput[];
  /** Images that are to come, in the order of their index. */
  readonly images: readonly PlannedImage[];
  /**
   * What is kept of what the graph leaves behind: the planned images alone, or, of a graph whose outcome nobody can tell
   * beforehand, everything.
   */
  readonly keeps: "images" | "everything";
  /** Of a plan that keeps everything: the seeds that nodes which leave something do so by, by node id, as far as known. */
  readonly seeds?: Readonly<Record<string, bigint>>;
}

/** A file that a graph reads from the backend's input directory. */
export interface PlannedInput {
  /** Asset that has its bytes, of the job's tenant. */
  readonly assetId: string;
  /** What the graph calls it: below the input directory, with `/` between folders. Equal names are equal bytes. */
  readonly fileName: string;
}

export interface PlannedImage {
  /** Absent where nothing is sampled. */
  readonly seed?: bigint;
  /** Nodes that sample it, whose previews belong to this image; none where nothing is sampled. */
  readonly samplerNodeIds: readonly string[];
  /** Node that saves it. */
  readonly saveNodeId: string;
}
