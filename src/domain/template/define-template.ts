import { nearestNames } from "../../lib/nearest-names.ts";
import { type FieldViolation, ServiceError } from "../errors.ts";
import type { GraphValue } from "../graph.ts";
import type { NodeClasses } from "../node-class.ts";
import { inputOf, type KnownGraph } from "./parameter-bounds.ts";
import { kindOf, readValue } from "./read-value.ts";
import {
  type ParameterTarget,
  type ParameterType,
  type PlainValue,
  parameterNamePattern,
  type TemplateContent,
  type TemplateParameter,
} from "./workflow-template.ts";

/** A parameter as its author gives it: `default` may still be anything. */
export interface DraftParameter extends Omit<TemplateParameter, "default"> {
  readonly default?: GraphValue;
}

export interface TemplateDraft extends Omit<TemplateContent, "parameters"> {
  readonly parameters: readonly DraftParameter[];
}

/**
 * Checks a template that somebody wants to register, and gives each parameter that may be left out, and says no default,
 * the value that its inputs have in the graph.
 *
 * @param classes by which the targets are checked as far as they are known
 * @throws ServiceError `INVALID_FIELD` with every problem as a violation, such as `parameters[2].targets[0].node_id`
 */
export function defineTemplate(draft: TemplateDraft, classes?: NodeClasses): TemplateContent {
  const known: KnownGraph = { graph: draft.graph, classes };
  const problems: FieldViolation[] = [];
  const owners = new Map<string, string>();
  const names = new Set<string>();
  const parameters = draft.parameters.map((parameter, index) => {
    const note: Note = (member, description) =>
      problems.push({ field: `parameters[${index}].${member}`, description });
    if (!parameterNamePattern.test(parameter.name)) {
      note("name", "must be a lowercase letter, then up to 62 lowercase letters, digits and underscores");
    }
    if (names.has(parameter.name)) {
      note("name", `there are two parameters ${JSON.stringify(parameter.name)}`);
    }
    names.add(parameter.name);
    checkRules(parameter, note);
    if (parameter.targets.length === 0) {
      note("targets", "names no input to set");
    }
    for (const [place, target] of parameter.targets.entries()) {
      const key = JSON.stringify([target.nodeId, target.inputName]);
      const owner = owners.get(key);
      if (owner !== undefined) {
        note(`targets[${place}]`, `the parameter ${owner} sets this input already`);
      }
      owners.set(key, parameter.name);
      checkTarget(parameter, place, known, note);
    }
    return withDefault(parameter, known, note);
  });
  const [first] = problems;
  if (first !== undefined) {
    const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : "";
    throw new ServiceError("INVALID_FIELD", `${first.field}: ${first.description}${more}`, {
      violations: problems,
    });
  }
  return { ...draft, parameters };
}

type Note = (member: string, description: string) => void;

const isNumeric = (type: ParameterType) => type === "integer" || type === "number" || type === "seed";

function checkRules({ type, min, max, step, choices, maxLength }: DraftParameter, note: Note): void {
  for (const [member, bound] of Object.entries({ min, max, step })) {
    if (bound === undefined) {
      continue;
    }
    if (!isNumeric(type) || (type === "seed" && member === "step")) {
      note(member, `a parameter of type ${type} has none`);
    } else if (!Number.isFinite(bound) || (type !== "number" && !Number.isSafeInteger(bound))) {
      note(member, type === "number" ? "must be a number" : "must be a whole number below 2^53");
    }
  }
  if (min !== undefined && max !== undefined && min > max) {
    note("max", `must not be below min, which is ${min}`);
  }
  if (type === "seed" && min !== undefined && min < 0) {
    note("min", "a seed is never below 0");
  }
  if (step !== undefined && step <= 0) {
    note("step", "must be above 0");
  }
  if (maxLength !== undefined && type !== "string" && type !== "text") {
    note("max_length", `a parameter of type ${type} has none`);
  }
  if (choices.length > 0 && type !== "choice") {
    note("choices", `a parameter of type ${type} has none`);
  }
  if (new Set(choices).size < choices.length) {
    note("choices", "names a choice twice");
  }
}

function checkTarget(parameter: DraftParameter, place: number, known: KnownGraph, note: Note): void {
  const target = parameter.targets[place];
  if (target === undefined) {
    return;
  }
  const node = known.graph[target.nodeId];
  if (node === undefined) {
    const nearest = nearestNames(target.nodeId, Object.keys(known.graph));
    note(
      `targets[${place}].node_id`,
      `the workflow has no node ${JSON.stringify(target.nodeId)}; the nearest it has: ${nearest.join(", ")}`,
    );
    return;
  }
  const field = `targets[${place}].input_name`;
  const whose = `node ${target.nodeId} (${node.class_type})`;
  const value = node.inputs[target.inputName];
  const input = inputOf(known, target);
  if (value === undefined && input === undefined) {
    const nearest = nearestNames(target.inputName, Object.keys(node.inputs));
    const hint = nearest.length > 0 ? `; the nearest it has: ${nearest.join(", ")}` : "";
    note(field, `${whose} has no input ${JSON.stringify(target.inputName)}${hint}`);
  } else if (Array.isArray(value)) {
    note(
      field,
      `comes from node ${JSON.stringify(value[0])}; only an input with a value of its own can be set, so name one of that node`,
    );
  } else if (value !== undefined && !kinds[parameter.type].includes(typeof value)) {
    note(field, `holds ${kindOf(value)}, which no parameter of type ${parameter.type} can set`);
  } else if (
    input !== undefined &&
    !(inputTypes[parameter.type].includes(input.type) || isOther(input.type))
  ) {
    note(field, `${whose} takes ${input.type} there, which no parameter of type ${parameter.type} gives`);
  }
}

/** What the input may hold in the graph, by `typeof`. */
const kinds: Readonly<Record<ParameterType, readonly string[]>> = {
  string: ["string"],
  text: ["string"],
  integer: ["number", "bigint"],
  number: ["number", "bigint"],
  boolean: ["boolean"],
  choice: ["string", "number", "bigint", "boolean"],
  image: ["string"],
  seed: ["number", "bigint"],
};

/** What the class of the node may take there. */
const inputTypes: Readonly<Record<ParameterType, readonly string[]>> = {
  string: ["STRING", "COMBO"],
  text: ["STRING"],
  integer: ["INT", "FLOAT"],
  number: ["FLOAT"],
  boolean: ["BOOLEAN"],
  choice: ["COMBO", "STRING", "INT", "FLOAT", "BOOLEAN"],
  image: ["COMBO", "STRING"],
  seed: ["INT"],
};

/** Types of which nothing is known here, such as `*` and those of custom nodes. */
function isOther(type: string): boolean {
  return !["STRING", "COMBO", "INT", "FLOAT", "BOOLEAN"].includes(type);
}

function withDefault(
  { default: given, ...parameter }: DraftParameter,
  known: KnownGraph,
  note: Note,
): TemplateParameter {
  if (parameter.defaultsToFirst) {
    if (parameter.type !== "choice" || parameter.choices.length > 0) {
      note("defaults_to_first", "is only for a choice of what the backend lists");
    } else if (parameter.isRequired || given !== undefined) {
      note("defaults_to_first", "goes neither with required nor with default_value");
    }
    return parameter;
  }
  if (parameter.isRequired) {
    if (given !== undefined) {
      note("default_value", "a required parameter has none; say one or the other");
    }
    return parameter;
  }
  if (parameter.type === "image") {
    if (given !== undefined) {
      note("default_value", "an image has none; one that is left out stays as it is in the workflow");
    }
    return parameter;
  }
  if (given !== undefined) {
    // What the backend lists may change; what it refuses now is found when the template is run.
    const read = readValue(parameter, given, { graph: known.graph });
    if ("problem" in read) {
      note("default_value", read.problem);
      return parameter;
    }
    return { ...parameter, default: read.value };
  }
  if (parameter.type === "seed") {
    return parameter;
  }
  const [first, ...others] = parameter.targets.map((target) => plainValueAt(known, target));
  if (first === undefined || others.some((other) => other !== first)) {
    note(
      "default_value",
      "must be given, or the parameter required, since its inputs do not hold one value in the workflow",
    );
    return parameter;
  }
  const read = readValue(parameter, first, { graph: known.graph });
  if ("problem" in read) {
    note("default_value", `not given, and the value in the workflow does not fit: ${read.problem}`);
    return parameter;
  }
  return { ...parameter, default: read.value };
}

/** The value that an input has in the graph; `undefined` if it has none of its own. */
export function plainValueAt({ graph }: KnownGraph, target: ParameterTarget): PlainValue | undefined {
  const value = graph[target.nodeId]?.inputs[target.inputName];
  return value === null || typeof value === "object" ? undefined : value;
}
