import type { GraphValue } from "../graph.ts";
import { isList } from "./literal.ts";

/** A link to output number `index` of the node `nodeId`. */
export interface GraphLink {
  readonly nodeId: string;
  readonly index: number;
}

/**
 * Reads an input value as a link. To ComfyUI every list is meant as one; `undefined` is for a list that is none, and
 * `"literal"` for anything else.
 */
export function readLink(value: GraphValue): GraphLink | "literal" | undefined {
  if (!isList(value)) {
    return "literal";
  }
  const [nodeId, index] = value;
  return value.length === 2 &&
    typeof nodeId === "string" &&
    typeof index === "number" &&
    Number.isInteger(index)
    ? { nodeId, index }
    : undefined;
}

/**
 * Whether an output of one type may be linked to an input of another, as ComfyUI decides it: both may name several types
 * with commas between and must have one in common, and `*` fits anything.
 */
export function fits(outputType: string, inputType: string): boolean {
  if (outputType === inputType || isAnyType(outputType) || isAnyType(inputType)) {
    return true;
  }
  const wanted = new Set(inputType.split(",").map((type) => type.trim()));
  return outputType.split(",").some((type) => wanted.has(type.trim()));
}

/** Besides `*`, the types that stand for whatever another link of the same node has. */
function isAnyType(type: string): boolean {
  return type === "*" || isDynamicType(type);
}

/** Whether inputs of this type come and go with the values of others, which only the backend can work out. */
export function isDynamicType(type: string): boolean {
  return type.startsWith("COMFY_") && type.endsWith("_V3");
}
