import { askBackends, type BackendAnswer } from "../catalog/ask-backends.ts";
import { type FieldViolation, ServiceError } from "../domain/errors.ts";
import type { WorkflowTask } from "../domain/generation.ts";
import type { GenerationPlan } from "../domain/generation-plan.ts";
import type { InputImage } from "../domain/input-image.ts";
import type { NodeClasses } from "../domain/node-class.ts";
import { checkGraph } from "../domain/workflow/check-graph.ts";
import { type GraphProblem, hasErrors } from "../domain/workflow/graph-problem.ts";
import type { WorkflowLimits } from "../domain/workflow/parse-workflow.ts";
import { checkPolicy, type WorkflowPolicy } from "../domain/workflow/policy.ts";
import { bindFiles, prefixFiles } from "../domain/workflow/prepare-graph.ts";
import { type ReadWorkflow, readWorkflow } from "../domain/workflow/read-workflow.ts";
import { seedsOf } from "../domain/workflow/seeds.ts";
import { workflowError } from "../domain/workflow/workflow-error.ts";
import type { Engine } from "../engine/engine.ts";
import { writeJson } from "../lib/lossless-json.ts";

export interface WorkflowResolverOptions {
  readonly workflowLimits: WorkflowLimits;
  readonly workflowPolicy: WorkflowPolicy;
  /** How old what is known of the backends' node classes may be, in milliseconds, before they are asked again. */
  readonly catalogMaxAgeMs: number;
}

/** Paths of the fields of a request by which errors name the parts of a workflow. */
export interface WorkflowFields {
  /** Of the workflow itself. */
  readonly workflow: string;
  /** Of the images for its inputs, which have the input behind it in square brackets. */
  readonly images: string;
}

/** What a workflow of a caller comes to. */
export interface ExaminedWorkflow {
  /** With the graph as it would run, in API format. */
  readonly task: WorkflowTask<InputImage>;
  readonly plan: GenerationPlan;
  /** Fields of the request beside the workflow that are wrong. */
  readonly violations: readonly FieldViolation[];
  /** What is wrong with it for any backend. */
  readonly problems: readonly GraphProblem[];
  /** What is wrong with it for each backend that was asked, in the order of the configuration. */
  readonly backends: readonly BackendAnswer<readonly GraphProblem[]>[];
}

/** Makes plans of workflows of callers, and finds what is wrong with them: for any backend, and for each. */
export class WorkflowResolver {
  readonly #options: WorkflowResolverOptions;
  readonly #engines: readonly Engine[];

  constructor(options: WorkflowResolverOptions, engines: readonly Engine[]) {
    this.#options = options;
    this.#engines = engines;
  }

  /**
   * Makes a plan of a workflow that every backend which can be used now could run.
   *
   * @param filePrefix what the names of all files that it saves begin with
   * @throws ServiceError `WORKFLOW_INVALID`, `NODE_NOT_ALLOWED` or `INVALID_FIELD` with everything that is wrong with it;
   * `NO_BACKEND` if nothing is known of any backend
   */
  async resolve(
    task: WorkflowTask<InputImage>,
    filePrefix: string,
    fields: WorkflowFields,
    signal: AbortSignal,
  ): Promise<Pick<ExaminedWorkflow, "task" | "plan">> {
    const examined = await this.examine(task, filePrefix, fields, signal);
    const error = errorOfWorkflow(examined, fields);
    if (error !== undefined) {
      throw error;
    }
    return examined;
  }

  /**
   * Finds everything about a workflow that can be known without running it.
   *
   * @throws ServiceError `WORKFLOW_INVALID` if it is no workflow at all; `NO_BACKEND` if nothing is known of any backend
   */
  async examine(
    task: WorkflowTask<InputImage>,
    filePrefix: string,
    fields: WorkflowFields,
    signal: AbortSignal,
  ): Promise<ExaminedWorkflow> {
    const known = await this.#classes(this.#options.catalogMaxAgeMs, signal);
    const examined = this.#examineWith(task, filePrefix, fields, known);
    if (!examined.backends.some(({ value }) => value.some(({ unknownName }) => unknownName !== undefined))) {
      return examined;
    }
    // What is not known may have been installed since the backends were asked last.
    const newest = await this.#classes(unknownNameMaxAgeMs, signal);
    const isNews = newest.length !== known.length || newest.some(({ value }, i) => value !== known[i]?.value);
    return isNews ? this.#examineWith(task, filePrefix, fields, newest) : examined;
  }

  /**
   * Reads a workflow, converting one of the editor's by what the backends say of their node classes.
   *
   * @throws ServiceError `WORKFLOW_INVALID` if it is no workflow at all; `NO_BACKEND` if nothing is known of any backend
   */
  async convert(json: string, field: string, signal: AbortSignal): Promise<ReadWorkflow> {
    const { workflowLimits, catalogMaxAgeMs } = this.#options;
    const backends = await this.#classes(catalogMaxAgeMs, signal);
    return readIn(field, () => readWorkflow(json, together(backends), workflowLimits));
  }

  #classes(maxAgeMs: number, signal: AbortSignal): Promise<readonly BackendAnswer<NodeClasses>[]> {
    return askBackends(this.#engines, (engine) => engine.nodeClasses(maxAgeMs, signal));
  }

  #examineWith(
    { json, images }: WorkflowTask<InputImage>,
    filePrefix: string,
    fields: WorkflowFields,
    backends: readonly BackendAnswer<NodeClasses>[],
  ): ExaminedWorkflow {
    const { workflowLimits, workflowPolicy } = this.#options;
    const classes = together(backends);
    const read = readIn(fields.workflow, () => readWorkflow(json, classes, workflowLimits));
    const isReadable = !hasErrors(read.problems);
    const fileNames = Object.fromEntries(
      Object.entries(images).map(([place, { fileName }]) => [place, fileName]),
    );
    const { graph: bound, faults } = bindFiles(read.graph, classes, fileNames);
    const graph = prefixFiles(bound, classes, filePrefix);
    return {
      task: { type: "workflow", json: writeJson(graph), images },
      plan: {
        graph,
        inputs: Object.values(images).map(({ assetId, fileName }) => ({ assetId, fileName })),
        images: [],
        keeps: "everything",
        seeds: Object.fromEntries(seedsOf(graph, classes)),
      },
      violations: isReadable
        ? faults.map(({ place, description }) => ({
            field: `${fields.images}[${JSON.stringify(place)}]`,
            description,
          }))
        : [],
      problems: [...read.problems, ...checkPolicy(bound, classes, workflowPolicy)],
      backends: backends.map(({ backend, value }) => ({
        backend,
        value: isReadable ? checkGraph(graph, value) : [],
      })),
    };
  }
}

/** What a call fails with that asks for a workflow, if anything is wrong with it for any of the backends that were asked. */
export function errorOfWorkflow(
  { violations, problems, backends }: ExaminedWorkflow,
  fields: WorkflowFields,
): ServiceError | undefined {
  const failing = backends.find(({ value }) => hasErrors(value));
  return workflowError({ violations, problems: [...problems, ...(failing?.value ?? [])] }, fields.workflow);
}

/** What `read` returns; it fails for a field of the request. */
function readIn<T>(field: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof ServiceError)) {
      throw error;
    }
    const violations = [{ field, description: error.message }];
    throw new ServiceError(
      error.reason,
      `${field}: ${error.message}`,
      { ...error.details, violations },
      { cause: error },
    );
  }
}

/** The classes of all backends; of one that several have, the first one's. */
function together(backends: readonly BackendAnswer<NodeClasses>[]): NodeClasses {
  const [first, ...others] = backends.map(({ value }) => value);
  return first !== undefined && others.length === 0
    ? first
    : new Map([...others.reverse(), ...(first ? [first] : [])].flatMap((classes) => [...classes]));
}

/** Lets a flood of workflows with a wrong name ask a backend no more than once a second. */
const unknownNameMaxAgeMs = 1_000;
