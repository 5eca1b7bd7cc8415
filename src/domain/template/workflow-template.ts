import type { WorkflowGraph } from "../graph.ts";

/** A workflow with named parameters, under a name of its own. */
export interface TemplateContent {
  /** Under which it is run: see {@link templateNamePattern}. */
  readonly name: string;
  /** For people; may be empty. */
  readonly description: string;
  readonly graph: WorkflowGraph;
  /** In the order in which people are to see them. */
  readonly parameters: readonly TemplateParameter[];
}

/** One version of a template. It is never changed. */
export interface WorkflowTemplate extends TemplateContent {
  /** From 1. The number of a version that was deleted is not given to another. */
  readonly version: number;
  /** Equal for equal content; see `hashTemplate`. */
  readonly sha256: string;
  readonly createTime: Date;
}

/**
 * - `string`, `text`: text of one line, or of several.
 * - `integer`, `number`, `boolean`.
 * - `choice`: one of `choices`.
 * - `image`: a picture, whose file name the inputs get.
 * - `seed`: an integer of 64 bits that is drawn if it is left out and has no default.
 */
export type ParameterType = (typeof parameterTypes)[number];

export const parameterTypes = [
  "string",
  "text",
  "integer",
  "number",
  "boolean",
  "choice",
  "image",
  "seed",
] as const;

/** What a parameter sets: an input of a node. */
export interface ParameterTarget {
  readonly nodeId: string;
  readonly inputName: string;
}

/**
 * A value as it stands in the graph: an integer is a `number` if that can hold it, and else a `bigint`. That of an image
 * is the name of its file.
 */
export type PlainValue = string | number | bigint | boolean;

/** A named place of a template for a value that its caller chooses. */
export interface TemplateParameter {
  /** See {@link parameterNamePattern}. */
  readonly name: string;
  /** For people; empty: the name. */
  readonly title: string;
  /** For people; may be empty. */
  readonly description: string;
  readonly type: ParameterType;
  /** Inputs that get the value: at least one. */
  readonly targets: readonly ParameterTarget[];
  /** Whether a run must give it. One that may be left out has a `default` unless it is a seed, an image, or as below. */
  readonly isRequired: boolean;
  /** What the inputs get if a run leaves it out. An image that is left out leaves them as they are in the graph. */
  readonly default?: PlainValue;
  /** Whether a `choice` of what the backend lists is, if it is left out, the first of that: it has no `default` then. */
  readonly defaultsToFirst: boolean;
  /** Bounds of an `integer`, `number` or `seed`, inclusive. */
  readonly min?: number;
  readonly max?: number;
  /** What an `integer` or `number` must be a multiple of. Above 0. */
  readonly step?: number;
  /** What a `choice` is of; empty: of what the backend lists for its input. */
  readonly choices: readonly PlainValue[];
  /** Most characters of a `string` or `text`. */
  readonly maxLength?: number;
}

/** Most characters of a text whose parameter does not say. */
export const defaultMaxLength = 10_000;

export const templateNamePattern = /^[a-z0-9][a-z0-9_-]{0,62}$/;
/** An alias is no number, so that it cannot be taken for a version. */
export const templateAliasPattern = /^[a-z][a-z0-9_-]{0,62}$/;
export const parameterNamePattern = /^[a-z][a-z0-9_]{0,62}$/;

/** An integer as {@link PlainValue} has it. */
export function plainInteger(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
