import type { WorkflowGraph } from "../graph.ts";
import type { NodeClasses } from "../node-class.ts";
import { convertWorkflow } from "./convert-workflow.ts";
import type { GraphProblem } from "./graph-problem.ts";
import { parseWorkflow, type WorkflowLimits } from "./parse-workflow.ts";

/** A workflow text as a graph. */
export interface ReadWorkflow {
  /** What could be read. It is what the caller meant unless there is an error among the problems. */
  readonly graph: WorkflowGraph;
  /** What makes no sense in it, and what of the editor's was changed or left out. */
  readonly problems: readonly GraphProblem[];
}

/**
 * Reads a workflow, either in API format or as ComfyUI's editor saves it, which is converted by `classes`. Whether a
 * backend could run it is another question, and so is whether it has the node classes: see `checkGraph`.
 *
 * @throws ServiceError `WORKFLOW_INVALID` if the text is no workflow at all, or beyond a limit
 */
export function readWorkflow(text: string, classes: NodeClasses, limits: WorkflowLimits): ReadWorkflow {
  const parsed = parseWorkflow(text, limits);
  switch (parsed.format) {
    case "api":
      return { graph: parsed.graph, problems: [] };
    case "malformed":
      return { graph: {}, problems: parsed.problems };
    case "editor": {
      const { graph, problems } = convertWorkflow(parsed.workflow, classes);
      const count = Object.keys(graph).length;
      return {
        graph,
        problems: [
          ...problems.filter(({ kind }) => kind !== "missing_node_type"),
          ...(count > limits.maxNodes ? [tooManyNodes(count, limits)] : []),
        ],
      };
    }
  }
}

function tooManyNodes(count: number, { maxNodes }: WorkflowLimits): GraphProblem {
  return {
    kind: "too_many_nodes",
    severity: "error",
    nodeId: "",
    classType: "",
    message: `the workflow has ${count} nodes; this server takes at most ${maxNodes}`,
    remedy: "run it in parts",
  };
}
