import type { Output, OutputFile } from "../engine.ts";
import { asArray, asObject, asString, isObject } from "./json-shape.ts";

/**
 * Reads the outputs of a prompt's record: node id to what the node left. Nodes that ran on behalf of another, as those
 * of an expanded subgraph do, are named by the node of the submitted graph, which `meta` of the record tells.
 */
export function parseOutputs(outputs: unknown, meta: unknown): readonly Output[] {
  const metaOfNodes = asObject(meta);
  return Object.entries(asObject(outputs)).flatMap(([nodeId, output]) => {
    const displayNodeId = asString(asObject(metaOfNodes[nodeId]).display_node);
    return parseNodeOutput(displayNodeId ?? nodeId, output);
  });
}

/**
 * Reads what one node left: under every key, files (anything with a file name and a type) and texts. Flags, numbers
 * and nulls are no outputs.
 */
export function parseNodeOutput(nodeId: string, output: unknown): readonly Output[] {
  return Object.entries(asObject(output)).flatMap(([key, listed]) => {
    const items = typeof listed === "string" || isObject(listed) ? [listed] : asArray(listed);
    return items.flatMap((item): readonly Output[] => {
      if (typeof item === "string") {
        return [{ kind: "text", nodeId, key, text: item }];
      }
      const file = parseFile(item);
      return file === undefined ? [] : [{ kind: "file", nodeId, key, file }];
    });
  });
}

function parseFile(item: unknown): OutputFile | undefined {
  const { filename, subfolder, type } = asObject(item);
  if (typeof filename !== "string" || filename === "") {
    return undefined;
  }
  return type === "output" || type === "temp" || type === "input"
    ? { filename, subfolder: asString(subfolder) ?? "", type }
    : undefined;
}
