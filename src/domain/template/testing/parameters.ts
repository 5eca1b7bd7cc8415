import type { ParameterType, TemplateParameter } from "../workflow-template.ts";

/** A parameter that may be left out and sets these inputs, each written as `nodeId.inputName`. */
export function buildParameter(
  name: string,
  type: ParameterType,
  targets: readonly string[],
  parts: Partial<TemplateParameter> = {},
): TemplateParameter {
  return {
    ...{ name, type, title: "", description: "", isRequired: false, defaultsToFirst: false, choices: [] },
    targets: targets.map((target) => {
      const [nodeId = "", inputName = ""] = target.split(".");
      return { nodeId, inputName };
    }),
    ...parts,
  };
}
