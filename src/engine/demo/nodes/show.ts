import type { Json } from "../json.ts";
import { stringifyJson } from "../json.ts";
import { pythonText } from "../python.ts";
import { isValue, type NodeDefinition } from "./node.ts";
import type { Value } from "./value.ts";

/** Nodes that show what is not a picture. */
export const show: readonly NodeDefinition[] = [
  {
    classType: "PreviewAny",
    displayName: "Preview Any",
    category: "utils",
    pythonModule: "comfy_extras.nodes_preview_any",
    required: { source: { type: "*" } },
    outputs: [],
    isOutput: true,
    run: (inputs) => ({ values: [], ui: { text: [textOf(inputs.anything("source"))] } }),
  },
];

/** Text as it is, numbers as Python writes them, the rest as JSON or, where there is none, by its kind. */
function textOf(source: Json | Value): string {
  if (isValue(source)) {
    return `<${source.kind}>`;
  }
  return typeof source === "object" && source !== null ? stringifyJson(source) : pythonText(source);
}
