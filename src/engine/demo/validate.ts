import { classOf } from "./graph.ts";
import { isJsonObject, type Json, type JsonObject } from "./json.ts";
import { type InputSpec, inputsOfClass, type NodeDefinition, type Surroundings } from "./nodes/node.ts";
import { inputConfig, inputType } from "./object-info.ts";
import {
  PythonError,
  pythonFloat,
  pythonInt,
  pythonRepr,
  pythonText,
  pythonToFloat,
  pythonTruth,
  pythonType,
} from "./python.ts";

/** An error as it stands in an answer to a submission. */
export interface ValidationError {
  readonly type: string;
  readonly message: string;
  readonly details: string;
  readonly extra_info: JsonObject;
}

/** What is wrong with a node, and the bad outputs that were found together with it. */
export interface NodeErrors {
  readonly errors: readonly ValidationError[];
  readonly dependent_outputs: string[];
  readonly class_type: string;
}

/** What the check of a graph has found. */
export type Validation =
  | {
      readonly ok: true;
      /** The graph, with values converted to the types of their inputs. */
      readonly graph: JsonObject;
      /** Output nodes that can run, in the order of the graph. */
      readonly outputs: readonly string[];
      /** What is wrong with the other output nodes and what they depend on. */
      readonly nodeErrors: Readonly<Record<string, NodeErrors>>;
    }
  | {
      readonly ok: false;
      readonly error: ValidationError;
      readonly nodeErrors: Readonly<Record<string, NodeErrors>>;
    };

/**
 * Checks a graph as ComfyUI does at submission: each output node on its own, together with all that it depends on.
 * One good output node is enough.
 *
 * @param targets the only output nodes that count; `undefined`: all
 * @throws TypeError if the graph is so malformed that ComfyUI fails over it with status 500
 */
export function validatePrompt(
  prompt: Json,
  targets: readonly string[] | undefined,
  classes: ReadonlyMap<string, NodeDefinition>,
  surroundings: Surroundings,
): Validation {
  if (!isJsonObject(prompt)) {
    throw new TypeError("the prompt is no object");
  }
  const outputs: string[] = [];
  for (const [id, node] of Object.entries(prompt)) {
    if (!isJsonObject(node)) {
      throw new TypeError("a node is no object");
    }
    const definition = classes.get(classOf(prompt, id));
    if (!definition) {
      return { ok: false, error: missingNodeType(id, node), nodeErrors: {} };
    }
    if (definition.isOutput && (targets === undefined || targets.includes(id))) {
      outputs.push(id);
    }
  }
  if (outputs.length === 0) {
    return { ok: false, error: plainError("prompt_no_outputs", "Prompt has no outputs"), nodeErrors: {} };
  }
  return new Validator(prompt, classes, surroundings).run(outputs);
}

/** An error that has nothing to add to its text. */
export function plainError(type: string, message: string, details = ""): ValidationError {
  return { type, message, details, extra_info: {} };
}

function missingNodeType(id: string, node: JsonObject): ValidationError {
  const classType = node.class_type;
  const meta = node._meta;
  const title = isJsonObject(meta) ? (meta.title ?? null) : null;
  const has = classType !== undefined;
  const name = title === null ? (has ? pythonText(classType) : `ID #${id}`) : pythonText(title);
  return {
    type: "missing_node_type",
    message: has
      ? `Node '${name}' not found. The custom node may not be installed.`
      : `Node '${name}' has no class_type. The workflow may be corrupted or a custom node is missing.`,
    details: `Node ID '#${id}'`,
    extra_info: {
      node_id: id,
      class_type: classType ?? null,
      node_title: has ? (title ?? classType) : title,
    },
  };
}

interface Verdict {
  readonly valid: boolean;
  readonly errors: readonly ValidationError[];
}

class Validator {
  readonly #prompt: JsonObject;
  readonly #classes: ReadonlyMap<string, NodeDefinition>;
  readonly #surroundings: Surroundings;
  readonly #verdicts = new Map<string, Verdict>();
  readonly #visiting: string[] = [];
  readonly #converted: Record<string, Json> = {};

  constructor(prompt: JsonObject, classes: ReadonlyMap<string, NodeDefinition>, surroundings: Surroundings) {
    this.#prompt = prompt;
    this.#classes = classes;
    this.#surroundings = surroundings;
  }

  run(outputs: readonly string[]): Validation {
    const good: string[] = [];
    const details: string[] = [];
    const nodeErrors: Record<
      string,
      { errors: readonly ValidationError[]; dependent_outputs: string[]; class_type: string }
    > = {};
    for (const id of outputs) {
      const verdict = this.#judgeOutput(id);
      if (verdict.valid) {
        good.push(id);
        continue;
      }
      details.push(...verdict.errors.map((error) => `${error.message}: ${error.details}`));
      // As in ComfyUI, every node found wrong so far is put down to this output, whether or not it depends on it.
      for (const [nodeId, { valid, errors }] of this.#verdicts) {
        if (!valid && errors.length > 0) {
          nodeErrors[nodeId] ??= { errors, dependent_outputs: [], class_type: classOf(this.#prompt, nodeId) };
          nodeErrors[nodeId].dependent_outputs.push(id);
        }
      }
    }
    if (good.length === 0) {
      const message = "Prompt outputs failed validation";
      return {
        ok: false,
        error: plainError("prompt_outputs_failed_validation", message, details.join("\n")),
        nodeErrors,
      };
    }
    return { ok: true, graph: { ...this.#prompt, ...this.#converted }, outputs: good, nodeErrors };
  }

  #judgeOutput(id: string): Verdict {
    try {
      return this.#judge(id);
    } catch (error) {
      const raised = asPythonError(error);
      const verdict = {
        valid: false,
        errors: [
          {
            type: "exception_during_validation",
            message: "Exception when validating node",
            details: raised.message,
            extra_info: { exception_type: raised.exceptionType, traceback: tracebackOf("validate_prompt") },
          },
        ],
      };
      this.#verdicts.set(id, verdict);
      return verdict;
    }
  }

  #judge(id: string): Verdict {
    const known = this.#verdicts.get(id);
    if (known) {
      return known;
    }
    if (this.#visiting.includes(id)) {
      return this.#reportCycle(id);
    }
    const node = this.#prompt[id];
    const inputs = isJsonObject(node) ? node.inputs : undefined;
    if (!isJsonObject(node) || !isJsonObject(inputs)) {
      throw new PythonError("KeyError", "'inputs'");
    }
    const definition = this.#classes.get(classOf(this.#prompt, id));
    if (!definition) {
      throw new PythonError("KeyError", pythonRepr(id));
    }
    const converted: Record<string, Json> = { ...inputs };
    const errors: ValidationError[] = [];
    let valid = true;
    for (const [name, spec] of Object.entries(inputsOfClass(definition))) {
      const value = inputs[name];
      if (value === undefined) {
        if (name in definition.required) {
          errors.push({
            ...plainError("required_input_missing", "Required input is missing", name),
            extra_info: { input_name: name },
          });
        }
      } else if (Array.isArray(value)) {
        valid = this.#judgeLink(id, name, spec, value, errors) && valid;
      } else {
        const error = this.#judgeLiteral(definition, name, spec, value, converted);
        if (error) {
          errors.push(error);
        }
      }
    }
    // A cycle may have put down an error for this node already.
    const earlier = this.#verdicts.get(id)?.errors ?? [];
    const verdict = {
      valid: valid && errors.length === 0 && earlier.length === 0,
      errors: [...earlier, ...errors],
    };
    this.#verdicts.set(id, verdict);
    this.#converted[id] = { ...node, inputs: converted };
    return verdict;
  }

  /** Whether what the link leads to is good. What is wrong with the link itself is added to `errors`. */
  #judgeLink(
    id: string,
    name: string,
    spec: InputSpec,
    value: readonly Json[],
    errors: ValidationError[],
  ): boolean {
    const about = { input_name: name, input_config: this.#config(spec) };
    if (value.length !== 2) {
      const message = "Bad linked input, must be a length-2 list of [node_id, slot_index]";
      errors.push({
        type: "bad_linked_input",
        message,
        details: name,
        extra_info: { ...about, received_value: value },
      });
      return true;
    }
    const { received, from } = this.#linkedType(value);
    const wanted = inputType(spec, this.#surroundings);
    if (received !== wanted && received !== "*" && wanted !== "*") {
      errors.push({
        type: "return_type_mismatch",
        message: "Return type mismatch between linked nodes",
        details: `${name}, received_type(${received}) mismatch input_type(${typeText(wanted)})`,
        extra_info: { ...about, received_type: received, linked_node: value },
      });
      return true;
    }
    this.#visiting.push(id);
    try {
      return this.#judge(from).valid;
    } catch (error) {
      this.#verdicts.set(from, { valid: false, errors: [innerError(asPythonError(error), about, value)] });
      return false;
    } finally {
      this.#visiting.pop();
    }
  }

  /** Type of the output that a link names. Fails the way Python does on what is no link. */
  #linkedType([from, slot]: readonly Json[]): { readonly received: string; readonly from: string } {
    const definition = typeof from === "string" ? this.#classes.get(classOf(this.#prompt, from)) : undefined;
    if (typeof from !== "string" || !definition) {
      throw new PythonError(
        typeof from === "object" && from !== null ? "TypeError" : "KeyError",
        typeof from === "object" && from !== null
          ? `unhashable type: '${pythonType(from)}'`
          : pythonRepr(from),
      );
    }
    if (typeof slot !== "number" || !Number.isInteger(slot)) {
      throw new PythonError(
        "TypeError",
        `tuple indices must be integers or slices, not ${pythonType(slot ?? null)}`,
      );
    }
    const output = definition.outputs.at(slot);
    if (!output) {
      throw new PythonError("IndexError", "tuple index out of range");
    }
    return { received: output.type, from };
  }

  #judgeLiteral(
    definition: NodeDefinition,
    name: string,
    spec: InputSpec,
    given: Json,
    converted: Record<string, Json>,
  ): ValidationError | undefined {
    const about = (value: Json) => ({
      input_name: name,
      input_config: this.#config(spec),
      received_value: value,
    });
    const unwrapped = isJsonObject(given) && given.__value__ !== undefined ? given.__value__ : given;
    let value: Json;
    try {
      value = convert(unwrapped, spec.type);
    } catch (error) {
      const raised = asPythonError(error);
      return {
        type: "invalid_input_type",
        message: `Failed to convert an input value to a ${String(spec.type)} value`,
        details: `${name}, ${pythonText(unwrapped)}, ${raised.message}`,
        extra_info: { ...about(unwrapped), exception_message: raised.message },
      };
    }
    converted[name] = value;
    const check = definition.checks?.[name];
    if (check) {
      const complaint = check(value, this.#surroundings);
      return complaint === undefined
        ? undefined
        : {
            type: "custom_validation_failed",
            message: "Custom validation failed for node",
            details: `${name} - ${complaint}`,
            extra_info: { input_name: name },
          };
    }
    return this.#judgeLimits(name, spec, value, about) ?? this.#judgeChoice(name, spec, value, about);
  }

  #judgeLimits(
    name: string,
    { type, options }: InputSpec,
    value: Json,
    about: (value: Json) => JsonObject,
  ): ValidationError | undefined {
    if (!isNumeric(value)) {
      return undefined;
    }
    const text = (number: number | bigint) =>
      type === "FLOAT" ? pythonFloat(Number(number)) : number.toString();
    const min = options?.min;
    if (isNumeric(min) && value < min) {
      const message = `Value ${text(value)} smaller than min of ${text(min)}`;
      return { type: "value_smaller_than_min", message, details: name, extra_info: about(value) };
    }
    const max = options?.max;
    if (isNumeric(max) && value > max) {
      const message = `Value ${text(value)} bigger than max of ${text(max)}`;
      return { type: "value_bigger_than_max", message, details: name, extra_info: about(value) };
    }
    return undefined;
  }

  #judgeChoice(
    name: string,
    spec: InputSpec,
    value: Json,
    about: (value: Json) => JsonObject,
  ): ValidationError | undefined {
    const choices = inputType(spec, this.#surroundings);
    if (typeof choices === "string" || (typeof value === "string" && choices.includes(value))) {
      return undefined;
    }
    const long = choices.length > LONGEST_LIST_SHOWN;
    const list = long ? `(list of length ${choices.length})` : pythonRepr(choices);
    return {
      type: "value_not_in_list",
      message: "Value not in list",
      details: `${name}: ${pythonRepr(value)} not in ${list}`,
      extra_info: { ...about(value), ...(long ? { input_config: null } : {}) },
    };
  }

  #reportCycle(id: string): Verdict {
    const path = [...this.#visiting.slice(this.#visiting.indexOf(id)), id];
    const nodes = [...new Set(path)];
    const details = path.map((node) => `${node} (${classOf(this.#prompt, node)})`).join(" -> ");
    for (const node of nodes) {
      const error = {
        type: "dependency_cycle",
        message: "Dependency cycle detected",
        details,
        extra_info: { node_id: node, cycle_nodes: nodes },
      };
      this.#verdicts.set(node, { valid: false, errors: [error] });
    }
    return this.#verdicts.get(id) ?? { valid: false, errors: [] };
  }

  #config(spec: InputSpec): Json {
    return inputConfig(spec, this.#surroundings);
  }
}

/** Longer lists are not repeated in an error. */
const LONGEST_LIST_SHOWN = 20;

function convert(value: Json, type: InputSpec["type"]): Json {
  switch (type) {
    case "INT":
      return pythonInt(value);
    case "FLOAT":
      return pythonToFloat(value);
    case "STRING":
      return pythonText(value);
    case "BOOLEAN":
      return pythonTruth(value);
    default:
      return value;
  }
}

function innerError(raised: PythonError, about: JsonObject, link: readonly Json[]): ValidationError {
  return {
    type: "exception_during_inner_validation",
    message: "Exception when validating inner node",
    details: raised.message,
    extra_info: {
      ...about,
      exception_message: raised.message,
      exception_type: raised.exceptionType,
      traceback: tracebackOf("validate_inputs"),
      linked_node: link,
    },
  };
}

/** A traceback of the form that Python gives, paths included, as clients must expect them. */
export function tracebackOf(functionName: string): string[] {
  return [`  File "/opt/ComfyUI/execution.py", line 1, in ${functionName}\n    # built-in engine\n`];
}

function asPythonError(error: unknown): PythonError {
  if (error instanceof PythonError) {
    return error;
  }
  throw error;
}

function isNumeric(value: Json | undefined): value is number | bigint {
  return typeof value === "number" || typeof value === "bigint";
}

function typeText(type: string | readonly string[]): string {
  return typeof type === "string" ? type : pythonRepr(type);
}
