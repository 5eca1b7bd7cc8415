import { createHash } from "node:crypto";
import { canonicalJson } from "../lib/canonical-json.ts";
import type { WorkflowGraph } from "./graph.ts";

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
