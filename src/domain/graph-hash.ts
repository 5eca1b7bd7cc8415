import { createHash } from "node:crypto";
import type { GraphValue, WorkflowGraph } from "./graph.ts";

/**
 * SHA-256, in lowercase hexadecimal, of what a graph does: its nodes and inputs as JSON with sorted keys. Titles and
 * the names of saved files are left out, so that equal work has an equal hash.
 */
export function hashGraph(graph: WorkflowGraph): string {
  const work = Object.fromEntries(
    Object.entries(graph).map(([id, { class_type, inputs }]) => {
      const { filename_prefix: _, ...rest } = inputs;
      return [id, { class_type, inputs: rest }];
    }),
  );
  return createHash("sha256").update(canonicalJson(work)).digest("hex");
}

function canonicalJson(value: GraphValue): string {
  if (typeof value === "bigint") {
    return value.toString();
  }
  if (value === null || typeof value !== "object") {
    return JSON.stringify(value);
  }
  if (isList(value)) {
    return `[${value.map(canonicalJson).join(",")}]`;
  }
  const members = Object.keys(value)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonicalJson(value[key] ?? null)}`);
  return `{${members.join(",")}}`;
}

/** `Array.isArray` does not narrow read-only arrays. */
function isList(value: GraphValue): value is readonly GraphValue[] {
  return Array.isArray(value);
}
