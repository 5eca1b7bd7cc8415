import type { GraphValue } from "../../domain/graph.ts";
import type { NodeClass, NodeClasses, NodeInput, NodeOutput } from "../../domain/node-class.ts";
import { asArray, asObject, asString, asStrings, isObject, type JsonObject } from "./json-shape.ts";

/** What is made of a description of all classes of a server. */
export interface ParsedNodeClasses {
  readonly classes: NodeClasses;
  /** Names of those whose description makes no sense. Custom nodes can be described in any way. */
  readonly undescribed: readonly string[];
}

/**
 * Reads what `GET /object_info` says, class by class, so that none can spoil the others. One whose description makes no
 * sense is among them by its name alone: the server can run it.
 */
export function parseNodeClasses(body: JsonObject): ParsedNodeClasses {
  const classes = new Map<string, NodeClass>();
  const undescribed: string[] = [];
  for (const [name, description] of Object.entries(body)) {
    const nodeClass = parseNodeClass(name, description);
    if (nodeClass === undefined) {
      undescribed.push(name);
    }
    classes.set(name, nodeClass ?? undescribedClass(name));
  }
  return { classes, undescribed };
}

function undescribedClass(name: string): NodeClass {
  return {
    name,
    displayName: name,
    description: "",
    category: "",
    inputs: [],
    outputs: [],
    isOutput: false,
    isDeprecated: false,
    isExperimental: false,
    isUndescribed: true,
  };
}

/** Reads the description of a class; `undefined` if it makes no sense. */
export function parseNodeClass(name: string, description: unknown): NodeClass | undefined {
  if (!isObject(description) || !isObject(description.input)) {
    return undefined;
  }
  const inputs = parseInputs(description.input, asObject(description.input_order));
  const outputs = parseOutputs(description);
  if (inputs === undefined || outputs === undefined) {
    return undefined;
  }
  const module = asString(description.python_module);
  return {
    name,
    displayName: asString(description.display_name) || name,
    description: asString(description.description) ?? "",
    category: asString(description.category) ?? "",
    inputs,
    outputs,
    isOutput: description.output_node === true,
    isDeprecated: description.deprecated === true,
    isExperimental: description.experimental === true,
    ...(module === undefined ? {} : { module }),
  };
}

/**
 * What can be chosen for an input, by its declaration: `[[choices], options]` on older servers and in older nodes, else
 * `["COMBO", {options: [choices]}]`. `undefined` if it is none of the kind, or if the editor has to fetch the choices.
 */
export function choicesOf(declaration: unknown): readonly Choice[] | undefined {
  const [type, options] = asArray(declaration);
  const listed = Array.isArray(type) ? type : type === "COMBO" ? asObject(options).options : undefined;
  return Array.isArray(listed) ? listed.filter(isChoice) : undefined;
}

type Choice = string | number | boolean;

function isChoice(value: unknown): value is Choice {
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean";
}

function parseInputs(input: JsonObject, order: JsonObject): readonly NodeInput[] | undefined {
  const inputs: NodeInput[] = [];
  for (const [group, isRequired] of [
    ["required", true],
    ["optional", false],
  ] as const) {
    const declarations = asObject(input[group]);
    for (const name of inOrder(declarations, asStrings(order[group]))) {
      const parsed = parseInput(name, declarations[name], isRequired);
      if (parsed === undefined) {
        return undefined;
      }
      inputs.push(parsed);
    }
  }
  return inputs;
}

/** JavaScript puts keys such as `"2"` before all others, whatever their place in the text. */
function inOrder(declarations: JsonObject, order: readonly string[]): Iterable<string> {
  const first = order.filter((name) => Object.hasOwn(declarations, name));
  return new Set([...first, ...Object.keys(declarations)]);
}

function parseInput(name: string, declaration: unknown, isRequired: boolean): NodeInput | undefined {
  const [type, rawOptions] = asArray(declaration);
  const typeName = typeNameOf(type);
  const options = asObject(rawOptions);
  if (typeName === undefined || !hasGraphValues(options)) {
    return undefined;
  }
  const choices = choicesOf(declaration);
  return {
    name,
    isRequired,
    type: typeName,
    ...(choices === undefined ? {} : { choices }),
    ...(options.default === undefined ? {} : { default: options.default }),
    ...boundsOf(options),
    options,
  };
}

function boundsOf(options: JsonObject): Pick<NodeInput, "min" | "max" | "step"> {
  return {
    ...(isNumber(options.min) ? { min: options.min } : {}),
    ...(isNumber(options.max) ? { max: options.max } : {}),
    ...(isNumber(options.step) ? { step: options.step } : {}),
  };
}

function parseOutputs({
  output = [],
  output_name: rawNames,
  output_is_list: isList,
}: JsonObject): readonly NodeOutput[] | undefined {
  const names = listed(rawNames);
  const outputs: NodeOutput[] = [];
  for (const [i, rawType] of listed(output).entries()) {
    const type = typeNameOf(rawType);
    if (type === undefined) {
      return undefined;
    }
    outputs.push({ name: asString(names[i]) || type, type, isList: asArray(isList)[i] === true });
  }
  return outputs;
}

/** A single string counts as a list of it: authors of nodes forget the comma of a tuple with one element. */
function listed(value: unknown): readonly unknown[] {
  return typeof value === "string" ? [value] : asArray(value);
}

/** A list of choices stands for the type `COMBO`. */
function typeNameOf(type: unknown): string | undefined {
  return Array.isArray(type) ? "COMBO" : asString(type);
}

function isNumber(value: unknown): value is number | bigint {
  return typeof value === "number" || typeof value === "bigint";
}

function hasGraphValues(options: JsonObject): options is Readonly<Record<string, GraphValue>> {
  return Object.values(options).every(isGraphValue);
}

function isGraphValue(value: unknown): value is GraphValue {
  switch (typeof value) {
    case "string":
    case "number":
    case "bigint":
    case "boolean":
      return true;
    case "object":
      return value === null || Object.values(value).every(isGraphValue);
    default:
      return false;
  }
}
