import type { GraphValue } from "../graph.ts";
import type { NodeClass, NodeInput } from "../node-class.ts";
import type { GraphProblem } from "./graph-problem.ts";
import { isDynamicType } from "./link.ts";
import { convertLiteral, isAmong, isList, toComparable, unwrapLiteral } from "./literal.ts";
import { isCheckedFile, mayCheckByItself } from "./own-checks.ts";
import { shortName } from "./short-name.ts";
import type { Suggestions } from "./suggestions.ts";

/** What is wrong with a value, apart from where it stands. */
export type LiteralProblem = Pick<GraphProblem, "kind" | "severity" | "message" | "remedy" | "unknownName">;

/** Finds what is wrong with a value that is no link; `undefined` if nothing is. */
export function checkLiteral(
  nodeClass: NodeClass,
  input: NodeInput,
  given: GraphValue,
  suggestions: Suggestions,
): LiteralProblem | undefined {
  const { name, type } = input;
  if (isDynamicType(type)) {
    return undefined;
  }
  const literal = unwrapLiteral(given);
  const converted = convertLiteral(literal, type);
  if (!converted.ok) {
    return {
      kind: "invalid_input_type",
      severity: "error",
      message: `${name} is ${shown(literal)}, and no ${type}`,
      remedy: `give ${rangeOf(input)}`,
    };
  }
  if (isCheckedFile(nodeClass, input)) {
    return checkFileName(input, converted.value);
  }
  const problem =
    checkRange(input, converted.value) ?? checkChoice(nodeClass, input, converted.value, suggestions);
  return problem && { severity: mayCheckByItself(nodeClass) ? "warning" : "error", ...problem };
}

type UngradedProblem = Omit<LiteralProblem, "severity">;

/**
 * The list of an upload has the files of one folder alone, as they were when it was last read: whether another is there is
 * for the backend to say.
 */
function checkFileName({ name, choices }: NodeInput, value: GraphValue): LiteralProblem | undefined {
  const remedy = "give the name of a file that the backend has, or an image with the request";
  if (typeof value !== "string") {
    const message = `${name} is ${shown(value)}, and no name of a file`;
    return { kind: "invalid_input_type", severity: "error", message, remedy };
  }
  if (choices === undefined || choices.includes(value) || isOfOtherFolder(value)) {
    return undefined;
  }
  const message = `${name} is ${shown(value)}, which is none of the files that the backend lists`;
  return { kind: "value_not_in_list", severity: "warning", message, remedy, unknownName: value };
}

function isOfOtherFolder(fileName: string): boolean {
  return /[/\\]| \[(?:input|output|temp)\]$/.test(fileName);
}

function checkRange(input: NodeInput, value: GraphValue): UngradedProblem | undefined {
  const { name, min, max } = input;
  if (min === undefined && max === undefined) {
    return undefined;
  }
  const number = toComparable(value);
  if (number === undefined) {
    return {
      kind: "invalid_input_type",
      message: `${name} is ${shown(value)}, and no number`,
      remedy: `give ${rangeOf(input)}`,
    };
  }
  if (min !== undefined && number < min) {
    return {
      kind: "value_smaller_than_min",
      message: `${name} is ${number}, below its least value, ${min}`,
      remedy: `give ${rangeOf(input)}`,
    };
  }
  if (max !== undefined && number > max) {
    return {
      kind: "value_bigger_than_max",
      message: `${name} is ${number}, above its greatest value, ${max}`,
      remedy: `give ${rangeOf(input)}`,
    };
  }
  return undefined;
}

function checkChoice(
  { name: className }: NodeClass,
  { name, choices, options }: NodeInput,
  value: GraphValue,
  suggestions: Suggestions,
): UngradedProblem | undefined {
  if (choices === undefined) {
    return undefined;
  }
  const chosen = isList(value) && options.multiselect === true ? value : [value];
  const unknown = chosen.find((one) => !isAmong(one, choices));
  if (unknown === undefined) {
    return undefined;
  }
  const texts = choices.map(String);
  const isText = typeof unknown === "string";
  return {
    kind: "value_not_in_list",
    message: `${name} is ${shown(unknown)}, which is none of the ${choices.length} choices of ${className}`,
    remedy: suggestions.remedyFor(isText ? unknown : "", `${className}.${name}`, texts),
    ...(isText && { unknownName: unknown }),
  };
}

function rangeOf({ type, min, max }: NodeInput): string {
  const kind = type === "INT" ? "an integer" : "a number";
  if (min !== undefined && max !== undefined) {
    return `${kind} from ${min} to ${max}`;
  }
  return min !== undefined ? `${kind} from ${min} on` : max !== undefined ? `${kind} up to ${max}` : kind;
}

/** A value in an error: short, and of a structure only what it is. */
function shown(value: GraphValue): string {
  if (typeof value === "string") {
    return JSON.stringify(shortName(value));
  }
  if (isList(value)) {
    return "a list";
  }
  return typeof value === "object" && value !== null ? "an object" : String(value);
}
