import type { Json, JsonObject } from "./json.ts";
import type { InputSpec, NodeDefinition, Surroundings } from "./nodes/node.ts";

/** What `GET /object_info` says of a node class. */
export function objectInfoOf(node: NodeDefinition, surroundings: Surroundings): JsonObject {
  const { required, optional, hidden } = node;
  const configsOf = (inputs: Readonly<Record<string, InputSpec>>) =>
    Object.fromEntries(Object.entries(inputs).map(([name, spec]) => [name, inputConfig(spec, surroundings)]));
  return {
    input: {
      required: configsOf(required),
      ...(optional ? { optional: configsOf(optional) } : {}),
      ...(hidden ? { hidden } : {}),
    },
    input_order: {
      required: Object.keys(required),
      ...(optional ? { optional: Object.keys(optional) } : {}),
      ...(hidden ? { hidden: Object.keys(hidden) } : {}),
    },
    is_input_list: false,
    output: node.outputs.map((output) => output.type),
    output_is_list: node.outputs.map(() => false),
    output_name: node.outputs.map((output) => output.name ?? output.type),
    name: node.classType,
    display_name: node.displayName,
    description: "",
    python_module: node.pythonModule ?? "nodes",
    category: node.category,
    output_node: node.isOutput ?? false,
    ...(node.isDeprecated ? { deprecated: true } : {}),
    has_intermediate_output: false,
    search_aliases: [],
  };
}

/** `[type, options]`, the form in which an input's definition also stands in validation errors. */
export function inputConfig(spec: InputSpec, surroundings: Surroundings): readonly [Json, JsonObject] {
  const type = inputType(spec, surroundings);
  return spec.listForm === "combo"
    ? ["COMBO", { multiselect: false, ...spec.options, options: type }]
    : [type, spec.options ?? {}];
}

/** The type of an input: its name, or what there is to choose from. */
export function inputType(spec: InputSpec, surroundings: Surroundings): string | readonly string[] {
  return typeof spec.type === "function" ? spec.type(surroundings) : spec.type;
}
