import { commonNodeClasses } from "../catalog/common-node-classes.ts";
import { isServiceError, ServiceError } from "../domain/errors.ts";
import type { ParameterValue, ResolvedTemplate, TemplateTask, WorkflowTask } from "../domain/generation.ts";
import type { GenerationPlan, PlannedInput } from "../domain/generation-plan.ts";
import type { InputImage } from "../domain/input-image.ts";
import { applyParameters } from "../domain/template/apply-parameters.ts";
import { type ParameterValues, parameterField, readParameters } from "../domain/template/read-parameters.ts";
import type { PlainValue } from "../domain/template/workflow-template.ts";
import type { Engine } from "../engine/engine.ts";
import { writeJson } from "../lib/lossless-json.ts";
import type { TemplateRecord, TemplateRevision, TemplateStore } from "../storage/template-store.ts";
import { findTemplate } from "../templates/find-template.ts";
import type { InputImages } from "./task-images.ts";
import type { WorkflowResolver } from "./workflow-resolver.ts";

export interface TemplateResolverDependencies {
  readonly engines: readonly Engine[];
  readonly templates: Pick<TemplateStore, "get">;
  readonly inputImages: InputImages;
  readonly workflows: Pick<WorkflowResolver, "resolve">;
  /** Draws a seed: 0 to 2^53-1. */
  readonly randomSeed: () => bigint;
}

/** A run of a template whose parameters are in its workflow. */
export interface PreparedTemplate {
  readonly task: ResolvedTemplate;
  readonly workflow: WorkflowTask<InputImage>;
  /** Files that the workflow reads. */
  readonly inputs: readonly PlannedInput[];
}

/** Where errors about the workflow of a template are put. */
export const templateFields = { workflow: "spec.template", images: "spec.template" };

/** Makes plans of runs of templates. */
export class TemplateResolver {
  readonly #catalogMaxAgeMs: number;
  readonly #deps: TemplateResolverDependencies;

  /** @param catalogMaxAgeMs how old what is known of the backends' node classes may be before they are asked again */
  constructor(catalogMaxAgeMs: number, deps: TemplateResolverDependencies) {
    this.#catalogMaxAgeMs = catalogMaxAgeMs;
    this.#deps = deps;
  }

  /**
   * Settles the version of a template and the value of each parameter, and goes on as with any workflow.
   *
   * @param filePrefix what the names of all files that it saves begin with
   * @throws ServiceError what {@link prepare} and `WorkflowResolver.resolve` throw
   */
  async resolve(
    task: TemplateTask,
    filePrefix: string,
    tenant: string,
    signal: AbortSignal,
  ): Promise<{ readonly task: ResolvedTemplate; readonly plan: GenerationPlan }> {
    const prepared = await this.prepare(task, tenant, signal);
    const { workflows } = this.#deps;
    const { plan } = await workflows.resolve(prepared.workflow, filePrefix, templateFields, signal);
    return { task: prepared.task, plan: { ...plan, inputs: prepared.inputs } };
  }

  /**
   * Settles the version of a template and the value of each parameter, and puts these into its workflow.
   *
   * @throws ServiceError `TEMPLATE_NOT_FOUND`; `INVALID_FIELD` with every parameter that does not fit; what
   * `InputImages.resolve` throws
   */
  async prepare(task: TemplateTask, tenant: string, signal: AbortSignal): Promise<PreparedTemplate> {
    const { templates, inputImages } = this.#deps;
    const template = await findTemplate(templates, tenant, task.name, revisionOf(task), signal).catch(
      (error: unknown) => {
        throw isServiceError(error, "TEMPLATE_NOT_FOUND") ? inSpec(error) : error;
      },
    );
    const { plain, images: given } = await this.#read(template, task, signal);
    const images = new Map<string, InputImage>();
    for (const [name, source] of given) {
      images.set(name, await inputImages.resolve(source, parameterField(name), tenant, signal));
    }
    const fileNames = [...images].map(([name, { fileName }]): [string, PlainValue] => [name, fileName]);
    const graph = applyParameters(template, new Map([...plain, ...fileNames]));
    return {
      task: {
        ...{ type: "template", name: template.name, version: template.version },
        parameters: settledParameters(template, plain, images),
      },
      workflow: { type: "workflow", json: writeJson(graph), images: {} },
      inputs: [...images.values()].map(({ assetId, fileName }) => ({ assetId, fileName })),
    };
  }

  async #read(template: TemplateRecord, task: TemplateTask, signal: AbortSignal): Promise<ParameterValues> {
    const { engines, randomSeed } = this.#deps;
    const read = async (maxAgeMs: number) => {
      const classes = await commonNodeClasses(engines, maxAgeMs, signal);
      return readParameters(template, task.parameters, { classes, randomSeed });
    };
    try {
      return await read(this.#catalogMaxAgeMs);
    } catch (error) {
      if (!isServiceError(error, "INVALID_FIELD")) {
        throw error;
      }
      // A choice may have been put there since the backends were asked last.
      return await read(unknownNameMaxAgeMs);
    }
  }
}

/** The same failure, with its field as the caller of a spec wrote it. */
function inSpec(error: ServiceError): ServiceError {
  const violations = error.details.violations?.map(({ field, description }) => ({
    field: `spec.template.${field}`,
    description,
  }));
  const [first] = violations ?? [];
  return new ServiceError(
    error.reason,
    `${first?.field}: ${error.message}`,
    { ...error.details, ...(violations && { violations }) },
    { cause: error },
  );
}

function revisionOf({ revision }: TemplateTask): TemplateRevision {
  if (revision === undefined) {
    return { type: "newest" };
  }
  return "version" in revision ? { type: "version", ...revision } : { type: "alias", ...revision };
}

/** The values as a run that repeats this one would give them. */
function settledParameters(
  { parameters }: TemplateRecord,
  plain: ReadonlyMap<string, PlainValue>,
  images: ReadonlyMap<string, InputImage>,
): Readonly<Record<string, ParameterValue>> {
  return Object.fromEntries(
    parameters.flatMap(({ name }): readonly (readonly [string, ParameterValue])[] => {
      const value = plain.get(name);
      const image = images.get(name);
      if (image !== undefined) {
        return [[name, { asset_id: image.assetId }]];
      }
      // An integer that no double holds is written as a string of its digits.
      return value === undefined ? [] : [[name, typeof value === "bigint" ? value.toString() : value]];
    }),
  );
}

/** Lets a flood of runs with a wrong value ask a backend no more than once a second. */
const unknownNameMaxAgeMs = 1_000;
