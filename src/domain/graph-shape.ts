import { createHash } from "node:crypto";
import { canonicalJson } from "../lib/canonical-json.ts";
import type { GraphValue, WorkflowGraph } from "./graph.ts";

/**
 * SHA-256, in lowercase hexadecimal, of what decides how long a graph takes: its nodes, links, models, sizes and steps.
 * Seeds, texts and the names of files to read or to save do not count, so that a prompt tried again has an equal shape.
 */
export function shapeOfGraph(graph: WorkflowGraph): string {
  const shape = Object.fromEntries(
    Object.entries(graph).map(([id, { class_type, inputs }]) => [
      id,
      { class_type, inputs: Object.fromEntries(Object.entries(inputs).filter(countsForTime)) },
    ]),
  );
  return createHash("sha256").update(canonicalJson(shape)).digest("hex");
}

function countsForTime([name, value]: [string, GraphValue]): boolean {
  return typeof value === "string" ? !freeText.test(name) : !/seed$/.test(name);
}

/** Inputs whose text may be anything. Names of models, samplers and methods are in other ones. */
const freeText =
  /^(?:text(?:_[a-z0-9]+)?|prompt|value|image|mask|audio|video|file|filename_prefix|(?:noise_)?seed)$/;
