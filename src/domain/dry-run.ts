import type { ServiceError } from "./errors.ts";
import type { ResolvedGeneration } from "./generation.ts";
import type { WorkflowGraph } from "./graph.ts";
import type { GraphProblem } from "./workflow/graph-problem.ts";

/** What would become of a spec. */
export interface DryRun {
  /** What a call that makes a job of it would fail with. */
  readonly error?: ServiceError;
  /** What is wrong with it whatever backend runs it. */
  readonly problems: readonly DryRunProblem[];
  /** In the order of the configuration. */
  readonly backends: readonly BackendVerdict[];
  /** With nothing left open; absent if it could not be worked out. */
  readonly generation?: ResolvedGeneration;
  /** Of a workflow that is wrong, what could be read of it. */
  readonly graph?: WorkflowGraph;
  /** How long it would run on the fastest backend that has run the like, in milliseconds. */
  readonly estimatedRunMs?: number;
  /** Job whose images would be the answer. */
  readonly reusedJobId?: string;
}

/** What a backend would make of a spec. */
export interface BackendVerdict {
  readonly name: string;
  /** False if it is out of reach: then nothing else is known. */
  readonly isAsked: boolean;
  readonly isRunnable: boolean;
  /** What is wrong with the spec for this backend, beside what is wrong for any. */
  readonly problems: readonly DryRunProblem[];
  /** Each once, sorted. */
  readonly missingClasses: readonly string[];
  /** Each once, sorted. */
  readonly missingModels: readonly string[];
  readonly estimatedRunMs?: number;
}

/** Something that is wrong with a field of the spec, or with a node of its graph. */
export type DryRunProblem = FieldProblem | GraphProblem;

export interface FieldProblem {
  readonly kind: "invalid_field";
  /** Path in the request, such as `spec.steps`. */
  readonly field: string;
  /** What is wrong with it and what would be right. */
  readonly message: string;
  /** The model that the backend does not have, if that is the matter. */
  readonly unknownName?: string;
}
