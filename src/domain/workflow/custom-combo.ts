import type { GraphValue } from "../graph.ts";
import type { NodeClass, NodeInput } from "../node-class.ts";
import type { UiNode } from "./ui-workflow.ts";

/**
 * A node whose choices people write into it. Its class only has the choice; the choices and the place of the one that was
 * chosen are inputs that the editor adds.
 *
 * See `onCustomComboCreated` in `customWidgets.ts` of ComfyUI's frontend.
 */
export function isCustomCombo({ name }: NodeClass): boolean {
  return name === "CustomCombo";
}

/** Lays a choice and its choices out as if the class had them all: `choice`, `option1`, `option2` and so on. */
export function spellOutChoices(
  nodeClass: NodeClass,
  node: UiNode,
): { readonly nodeClass: NodeClass; readonly node: UiNode } {
  const [choice, ...rest] = Object.values(node.widgetValues);
  // The place of the choice is saved behind it, by newer versions.
  const options = typeof rest[0] === "string" ? rest : rest.slice(1);
  const inputs = options.map(
    (_, i): NodeInput => ({ name: `option${i + 1}`, isRequired: false, type: "STRING", options: {} }),
  );
  return {
    nodeClass: { ...nodeClass, inputs: [...nodeClass.inputs, ...inputs] },
    node: { ...node, widgetValues: [choice ?? "", ...options] },
  };
}

/** The place of what was chosen among the choices, -1 if it is none of them. */
export function placeOfChoice(inputs: ReadonlyMap<string, GraphValue>): number {
  const options = [...inputs].filter(([name]) => name.startsWith("option")).map(([, value]) => value);
  return options.indexOf(inputs.get("choice") ?? "");
}
