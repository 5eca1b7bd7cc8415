import type { GraphNode, WorkflowGraph } from "../graph.ts";
import type { PlainValue, TemplateContent } from "./workflow-template.ts";

/**
 * The graph of `template` with these values in the inputs that its parameters set; everything else is as it was. Values
 * are taken as they are: see `readParameters`. A parameter without a value leaves its inputs alone.
 */
export function applyParameters(
  { graph, parameters }: Pick<TemplateContent, "graph" | "parameters">,
  values: ReadonlyMap<string, PlainValue>,
): WorkflowGraph {
  const changed = new Map<string, Record<string, PlainValue>>();
  for (const { name, targets } of parameters) {
    const value = values.get(name);
    if (value === undefined) {
      continue;
    }
    for (const { nodeId, inputName } of targets) {
      changed.set(nodeId, { ...changed.get(nodeId), [inputName]: value });
    }
  }
  return Object.fromEntries(
    Object.entries(graph).map(([id, node]): [string, GraphNode] => {
      const inputs = changed.get(id);
      return [id, inputs === undefined ? node : { ...node, inputs: { ...node.inputs, ...inputs } }];
    }),
  );
}
