import { isJsonObject, type Json, type JsonObject } from "./json.ts";

/** A link to the output of another node. */
export interface Link {
  readonly nodeId: string;
  readonly output: number;
}

/** The link that an input's value is, if it is one: `["4", 0]`. */
export function linkOf(value: Json | undefined): Link | undefined {
  if (!Array.isArray(value) || value.length !== 2) {
    return undefined;
  }
  const [nodeId, output]: readonly (Json | undefined)[] = value;
  return typeof nodeId === "string" && typeof output === "number" ? { nodeId, output } : undefined;
}

/** Inputs of a node of a submitted graph; none if the node is not there or is malformed. */
export function inputsOf(graph: JsonObject, nodeId: string): JsonObject {
  const node = graph[nodeId];
  const inputs = isJsonObject(node) ? node.inputs : undefined;
  return isJsonObject(inputs) ? inputs : {};
}

/** Class of a node of a submitted graph; empty if it has none. */
export function classOf(graph: JsonObject, nodeId: string): string {
  const node = graph[nodeId];
  const classType = isJsonObject(node) ? node.class_type : undefined;
  return typeof classType === "string" ? classType : "";
}
