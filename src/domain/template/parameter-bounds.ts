import type { WorkflowGraph } from "../graph.ts";
import type { NodeClasses, NodeInput } from "../node-class.ts";
import type { ParameterTarget, PlainValue, TemplateParameter } from "./workflow-template.ts";

/** A graph, and what is known of the classes of its nodes. */
export interface KnownGraph {
  readonly graph: WorkflowGraph;
  /** Absent while no backend has been asked. */
  readonly classes?: NodeClasses | undefined;
}

/** The input that a parameter sets, as the class of its node describes it; `undefined` if that is not known. */
export function inputOf({ graph, classes }: KnownGraph, target: ParameterTarget): NodeInput | undefined {
  const node = graph[target.nodeId];
  return classes?.get(node?.class_type ?? "")?.inputs.find(({ name }) => name === target.inputName);
}

/** What a number may be: what its parameter says, and, of inputs that are known, what each of them takes. */
export function boundsOf(
  parameter: TemplateParameter,
  known: KnownGraph,
): { readonly min?: number | bigint; readonly max?: number | bigint } {
  const inputs = parameter.targets.flatMap((target) => inputOf(known, target) ?? []);
  const isSeed = parameter.type === "seed";
  const min = largest([...(isSeed ? [0] : []), parameter.min, ...inputs.map((input) => input.min)]);
  const max = smallest([...(isSeed ? [maxSeed] : []), parameter.max, ...inputs.map((input) => input.max)]);
  return { ...(min !== undefined && { min }), ...(max !== undefined && { max }) };
}

/**
 * What a choice is of: what its parameter lists, else what the backend lists for all of its inputs that are known.
 * `undefined`: nobody can tell.
 */
export function choicesOf(
  parameter: TemplateParameter,
  known: KnownGraph,
): readonly PlainValue[] | undefined {
  if (parameter.choices.length > 0) {
    return parameter.choices;
  }
  const [first, ...others] = parameter.targets.flatMap((target) => {
    const choices = inputOf(known, target)?.choices;
    return choices === undefined ? [] : [choices];
  });
  return first?.filter((choice) => others.every((other) => other.includes(choice)));
}

/** The largest seed: all 64 bits set. */
export const maxSeed = 2n ** 64n - 1n;

type Bound = number | bigint | undefined;

function largest(bounds: readonly Bound[]): Bound {
  return bounds.reduce((a, b) => (a === undefined || (b !== undefined && b > a) ? b : a), undefined);
}

function smallest(bounds: readonly Bound[]): Bound {
  return bounds.reduce((a, b) => (a === undefined || (b !== undefined && b < a) ? b : a), undefined);
}
