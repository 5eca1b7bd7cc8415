import { cutText } from "../../lib/cut-text.ts";
import { nearestNames } from "../../lib/nearest-names.ts";
import type { GraphValue } from "../graph.ts";
import { boundsOf, choicesOf, type KnownGraph } from "./parameter-bounds.ts";
import {
  defaultMaxLength,
  type PlainValue,
  plainInteger,
  type TemplateParameter,
} from "./workflow-template.ts";

/** A value that fits, or what is wrong with it and what would be right, for people. */
export type Reading<T> = { readonly value: T } | { readonly problem: string };

/**
 * Reads the value of a parameter that is no image. An integer may also be a string of its digits, since many a caller's
 * numbers end at 2^53. Bounds and choices of the node inputs count as far as they are known.
 */
export function readValue(
  parameter: TemplateParameter,
  given: GraphValue,
  known: KnownGraph,
): Reading<PlainValue> {
  switch (parameter.type) {
    case "string":
    case "text":
    case "image":
      return readText(parameter, given);
    case "integer":
    case "seed":
      return readInteger(parameter, given, known);
    case "number":
      return typeof given === "bigint" || (typeof given === "number" && Number.isFinite(given))
        ? inBounds(parameter, Number(given), known)
        : { problem: `must be a number, not ${kindOf(given)}` };
    case "boolean":
      return typeof given === "boolean"
        ? { value: given }
        : { problem: `must be true or false, not ${kindOf(given)}` };
    case "choice":
      return readChoice(parameter, given, known);
  }
}

/** What a value is, for people; never the value itself, which may be long or private. */
export function kindOf(value: GraphValue): string {
  if (value === null) {
    return "null";
  }
  if (typeof value === "object") {
    return Array.isArray(value) ? "a list" : "an object";
  }
  return typeof value === "string" ? "text" : typeof value === "boolean" ? "true or false" : "a number";
}

/** A name for an error: the beginning of one that is far longer than any that there is. */
export function shortened(name: string): string {
  return cutText(name, longestName);
}

/** More than file systems take for the name of a file. */
const longestName = 256;

function readText(
  { type, maxLength = defaultMaxLength }: TemplateParameter,
  given: GraphValue,
): Reading<string> {
  if (typeof given !== "string") {
    return { problem: `must be text, not ${kindOf(given)}` };
  }
  if (type === "string" && /[\r\n]/.test(given)) {
    return { problem: "must be text of one line" };
  }
  // As the schema counts: by code points.
  const length = [...given].length;
  return length > maxLength
    ? { problem: `has ${length} characters; at most ${maxLength} are allowed` }
    : { value: given };
}

function readInteger(
  parameter: TemplateParameter,
  given: GraphValue,
  known: KnownGraph,
): Reading<PlainValue> {
  if (typeof given === "string") {
    return /^-?\d{1,20}$/.test(given)
      ? inBounds(parameter, plainInteger(BigInt(given)), known)
      : { problem: "must be a whole number, or a string of its digits" };
  }
  if (typeof given === "bigint" || (typeof given === "number" && Number.isSafeInteger(given))) {
    return inBounds(parameter, plainInteger(BigInt(given)), known);
  }
  return typeof given !== "number"
    ? { problem: `must be a whole number, not ${kindOf(given)}` }
    : Number.isInteger(given)
      ? { problem: "is too large for a JSON number to keep all its digits; give it as a string of them" }
      : { problem: "must be a whole number" };
}

function inBounds(
  parameter: TemplateParameter,
  value: number | bigint,
  known: KnownGraph,
): Reading<number | bigint> {
  const { min, max } = boundsOf(parameter, known);
  if ((min !== undefined && value < min) || (max !== undefined && value > max)) {
    const range =
      min === undefined ? `at most ${max}` : max === undefined ? `at least ${min}` : `from ${min} to ${max}`;
    const advice = parameter.type === "seed" ? "; leave it out for a random one" : "";
    return { problem: `must be ${range}, not ${value}${advice}` };
  }
  const { step } = parameter;
  return step !== undefined && !isMultiple(value, step)
    ? { problem: `must be a multiple of ${step}, not ${value}` }
    : { value };
}

function isMultiple(value: number | bigint, step: number): boolean {
  if (typeof value === "bigint") {
    return Number.isInteger(step) && value % BigInt(step) === 0n;
  }
  const times = value / step;
  // 0.3 / 0.1 is not 3 in floating point.
  return Math.abs(times - Math.round(times)) <= 1e-9 * Math.max(1, Math.abs(times));
}

function readChoice(parameter: TemplateParameter, given: GraphValue, known: KnownGraph): Reading<PlainValue> {
  if (given === null || typeof given === "object" || (typeof given === "number" && !Number.isFinite(given))) {
    return { problem: `must be one of the choices, not ${kindOf(given)}` };
  }
  const choices = choicesOf(parameter, known);
  if (choices === undefined) {
    return { value: given };
  }
  const found =
    choices.find((choice) => choice === given) ?? choices.find((choice) => samePath(choice, given));
  if (found !== undefined) {
    return { value: found };
  }
  const shown = shortened(String(given));
  const nearest = nearestNames(shown, choices.map(String));
  return {
    problem: `has no choice ${JSON.stringify(shown)}${
      nearest.length > 0 ? `; the nearest there are: ${nearest.join(", ")}` : "; the backend lists none"
    }`,
  };
}

/** ComfyUI lists paths with the separator of its host. */
function samePath(a: PlainValue, b: PlainValue): boolean {
  return (
    typeof a === "string" && typeof b === "string" && a.replaceAll("\\", "/") === b.replaceAll("\\", "/")
  );
}
