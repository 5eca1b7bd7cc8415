import type { GraphValue, WorkflowGraph } from "../../src/domain/graph.ts";

/** A graph for people, a line for each node: `8:VAEDecode(samples@3, vae@4.2)`. */
export function graphText(graph: WorkflowGraph): string {
  return Object.entries(graph)
    .map(([id, { class_type, inputs }]) => {
      const parts = Object.entries(inputs).map(([name, value]) => `${name}${valueText(value)}`);
      return `${id}:${class_type}(${parts.join(", ")})\n`;
    })
    .join("");
}

function valueText(value: GraphValue): string {
  if (Array.isArray(value)) {
    const [nodeId, output] = value;
    return output === 0 ? `@${nodeId}` : `@${nodeId}.${output}`;
  }
  return `: ${typeof value === "bigint" ? value : JSON.stringify(value)}`;
}
