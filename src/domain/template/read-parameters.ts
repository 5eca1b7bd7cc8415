import { nearestNames } from "../../lib/nearest-names.ts";
import { type FieldViolation, ServiceError } from "../errors.ts";
import type { GraphValue } from "../graph.ts";
import type { ImageSource } from "../input-image.ts";
import type { NodeClasses } from "../node-class.ts";
import { boundsOf, choicesOf, type KnownGraph, maxSeed } from "./parameter-bounds.ts";
import { readImage } from "./read-image.ts";
import { type Reading, readValue, shortened } from "./read-value.ts";
import {
  type PlainValue,
  plainInteger,
  type TemplateContent,
  type TemplateParameter,
} from "./workflow-template.ts";

/** The value of every parameter. Of an image that is left out there is none. */
export interface ParameterValues {
  readonly plain: ReadonlyMap<string, PlainValue>;
  readonly images: ReadonlyMap<string, ImageSource>;
}

/** What {@link readParameters} needs beside the template. */
export interface ParameterInputs {
  /** What is known of the node classes, by which choices and bounds are checked. */
  readonly classes?: NodeClasses | undefined;
  /** Draws the value of a seed that is left out: 0 to 2^53-1. */
  readonly randomSeed: () => bigint;
}

/**
 * Checks what a run gives, by name, against the parameters of its template, and fills in what it leaves out; `null` is
 * left out.
 *
 * @throws ServiceError `INVALID_FIELD` with every problem as a violation, such as `spec.template.parameters["steps"]`
 */
export function readParameters(
  template: Pick<TemplateContent, "name" | "graph" | "parameters">,
  given: Readonly<Record<string, GraphValue>>,
  { classes, randomSeed }: ParameterInputs,
): ParameterValues {
  const known: KnownGraph = { graph: template.graph, classes };
  const plain = new Map<string, PlainValue>();
  const images = new Map<string, ImageSource>();
  const violations: FieldViolation[] = unknownNames(template, given);
  for (const parameter of template.parameters) {
    const { name } = parameter;
    const value = Object.hasOwn(given, name) ? (given[name] ?? null) : null;
    const note = ({ problem }: { readonly problem: string }) =>
      violations.push({ field: parameterField(name), description: problem });
    if (value === null) {
      const fallback = readDefault(parameter, known, randomSeed);
      if (fallback !== undefined) {
        "problem" in fallback ? note(fallback) : plain.set(name, fallback.value);
      }
    } else if (parameter.type === "image") {
      const read = readImage(value);
      "problem" in read ? note(read) : images.set(name, read.value);
    } else {
      const read = readValue(parameter, value, known);
      "problem" in read ? note(read) : plain.set(name, read.value);
    }
  }
  const [first] = violations;
  if (first !== undefined) {
    const more = violations.length > 1 ? ` (and ${violations.length - 1} more)` : "";
    throw new ServiceError("INVALID_FIELD", `${first.field}: ${first.description}${more}`, { violations });
  }
  return { plain, images };
}

/** Path of a parameter in a request, for errors. Of a name that is longer than any parameter has it is the beginning. */
export function parameterField(name: string): string {
  return `spec.template.parameters[${JSON.stringify(shortened(name))}]`;
}

function unknownNames(
  { name: templateName, parameters }: Pick<TemplateContent, "name" | "parameters">,
  given: Readonly<Record<string, GraphValue>>,
): FieldViolation[] {
  const names = parameters.map(({ name }) => name);
  return Object.keys(given)
    .filter((name) => !names.includes(name))
    .map((name) => {
      const nearest = nearestNames(shortened(name), names);
      const hint = nearest.length > 0 ? `; the nearest it has: ${nearest.join(", ")}` : "";
      return {
        field: parameterField(name),
        description: `the template ${templateName} has no such parameter${hint}`,
      };
    });
}

/** What stands for a value that is left out; `undefined`: nothing does, and the inputs stay as they are in the graph. */
function readDefault(
  parameter: TemplateParameter,
  known: KnownGraph,
  randomSeed: () => bigint,
): Reading<PlainValue> | undefined {
  if (parameter.isRequired) {
    return { problem: "value is required" };
  }
  if (parameter.default !== undefined) {
    const read = readValue(parameter, parameter.default, known);
    return "problem" in read ? { problem: `not given, and its default fails: ${read.problem}` } : read;
  }
  if (parameter.defaultsToFirst) {
    const choices = choicesOf(parameter, known);
    const [first] = choices ?? [];
    return first !== undefined
      ? { value: first }
      : choices && { problem: "not given, and the backend lists none to take the first of" };
  }
  if (parameter.type !== "seed") {
    return undefined;
  }
  const { min = 0n, max = maxSeed } = boundsOf(parameter, known);
  const [first, last] = [BigInt(min), BigInt(max)];
  return { value: plainInteger(first + (last < first ? 0n : randomSeed() % (last - first + 1n))) };
}
