import { ServiceError } from "../domain/errors.ts";
import type { WorkflowGraph } from "../domain/graph.ts";
import { toNodeFailure } from "../domain/workflow/graph-problem.ts";
import { parseWorkflow, type WorkflowLimits } from "../domain/workflow/parse-workflow.ts";

/**
 * Reads a workflow in API format.
 *
 * @throws ServiceError `WORKFLOW_INVALID`, with the nodes that are none
 */
export function readApiWorkflow(json: string, limits: WorkflowLimits): WorkflowGraph {
  const parsed = parseWorkflow(json, limits);
  switch (parsed.format) {
    case "api":
      return parsed.graph;
    case "editor":
      throw new ServiceError(
        "WORKFLOW_INVALID",
        'the workflow is as the editor of ComfyUI saves it; export it there by "Export (API)"',
      );
    case "malformed": {
      const nodes = parsed.problems.map(toNodeFailure);
      throw new ServiceError("WORKFLOW_INVALID", nodes[0]?.message ?? "the workflow has broken nodes", {
        nodes,
      });
    }
  }
}
