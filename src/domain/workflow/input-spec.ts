import type { GraphValue } from "../graph.ts";
import type { NodeInput } from "../node-class.ts";

/**
 * Reads the description of an input that another input contains, as `[type, options]`; `undefined` if it is none. Inputs
 * of a class come parsed, those within their options do not.
 */
export function readInputSpec(name: string, spec: GraphValue, isRequired: boolean): NodeInput | undefined {
  const [type, rawOptions] = asItems(spec);
  const options = asMembers(rawOptions);
  const listed = Array.isArray(type) ? type : options.options;
  const isCombo = Array.isArray(type) || type === "COMBO";
  if (typeof type !== "string" && !isCombo) {
    return undefined;
  }
  return {
    name,
    isRequired,
    type: isCombo ? "COMBO" : String(type),
    ...(isCombo && listed !== undefined && { choices: asItems(listed).filter(isChoice) }),
    ...(options.default !== undefined && { default: options.default }),
    options,
  };
}

/** The inputs within `{required: {…}, optional: {…}}`, required ones first. */
export function readInputSpecs(groups: GraphValue | undefined): readonly NodeInput[] {
  const { required, optional } = asMembers(groups);
  return [
    ...Object.entries(asMembers(required)).map(([name, spec]) => readInputSpec(name, spec, true)),
    ...Object.entries(asMembers(optional)).map(([name, spec]) => readInputSpec(name, spec, false)),
  ].filter((input) => input !== undefined);
}

export function asMembers(value: GraphValue | undefined): Readonly<Record<string, GraphValue>> {
  return typeof value === "object" && value !== null && !isItems(value) ? value : {};
}

export function asItems(value: GraphValue | undefined): readonly GraphValue[] {
  return value !== undefined && isItems(value) ? value : [];
}

/** `Array.isArray` does not narrow read-only arrays. */
export function isItems(value: GraphValue): value is readonly GraphValue[] {
  return Array.isArray(value);
}

function isChoice(value: GraphValue): value is string | number | boolean {
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean";
}
