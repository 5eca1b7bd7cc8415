import { isServiceError, ServiceError } from "../domain/errors.ts";
import type { WorkflowGraph } from "../domain/graph.ts";
import type { NodeClass, NodeClasses } from "../domain/node-class.ts";
import { type DraftParameter, defineTemplate } from "../domain/template/define-template.ts";
import { proposeParameters } from "../domain/template/propose-parameters.ts";
import { hashTemplate } from "../domain/template/template-hash.ts";
import { templateJsonSchema } from "../domain/template/template-json-schema.ts";
import type { TemplateParameter } from "../domain/template/workflow-template.ts";
import { parseWorkflow, type WorkflowLimits } from "../domain/workflow/parse-workflow.ts";
import { readWorkflow } from "../domain/workflow/read-workflow.ts";
import { workflowError } from "../domain/workflow/workflow-error.ts";
import type { Clock } from "../lib/clock.ts";
import type {
  TemplateRecord,
  TemplateRevision,
  TemplateStore,
  TemplateSummary,
} from "../storage/template-store.ts";
import { findTemplate, templateNotFound } from "./find-template.ts";

export interface TemplateServiceDependencies {
  readonly templates: TemplateStore;
  readonly workflowLimits: WorkflowLimits;
  /** What the backends have in common. Throws ServiceError `NO_BACKEND` if nothing is known of any. */
  readonly nodeClasses: (signal: AbortSignal) => Promise<NodeClasses>;
  readonly clock: Clock;
}

/** A template that somebody wants to register. */
export interface TemplateRequest {
  readonly name: string;
  readonly description: string;
  readonly workflowJson: string;
  /** Empty: what is proposed for the workflow. */
  readonly parameters: readonly DraftParameter[];
}

/** Whose templates are meant. */
export interface TemplateOwner {
  readonly tenant: string;
}

/** Everything that can be done with templates but running them. */
export class TemplateService {
  readonly #deps: TemplateServiceDependencies;

  constructor(deps: TemplateServiceDependencies) {
    this.#deps = deps;
  }

  /**
   * Makes the next version of a template, unless there is one of equal content.
   *
   * @throws ServiceError `WORKFLOW_INVALID`, or `INVALID_FIELD` with every parameter that does not fit
   */
  async register(
    request: TemplateRequest,
    { tenant }: TemplateOwner,
    signal: AbortSignal,
  ): Promise<{ readonly template: TemplateRecord; readonly isNew: boolean }> {
    return await this.#deps.templates.register(tenant, await this.#define(request, signal), signal);
  }

  /**
   * What {@link register} would do: the version that there is of that content, or one with the number 0.
   *
   * @throws as `register` does
   */
  async validate(
    request: TemplateRequest,
    { tenant }: TemplateOwner,
    signal: AbortSignal,
  ): Promise<TemplateRecord> {
    const { templates, clock } = this.#deps;
    const content = await this.#define(request, signal);
    const sha256 = hashTemplate(content);
    return (
      (await templates.findEqual(tenant, content.name, sha256, signal)) ?? {
        ...content,
        ...{ version: 0, sha256, createTime: clock.now(), aliases: [] },
      }
    );
  }

  /** @throws ServiceError `WORKFLOW_INVALID` */
  async propose(workflowJson: string, signal: AbortSignal): Promise<readonly TemplateParameter[]> {
    return proposeParameters(await this.#graphOf(workflowJson, signal));
  }

  /** @throws ServiceError `TEMPLATE_NOT_FOUND` */
  async get(
    name: string,
    revision: TemplateRevision,
    { tenant }: TemplateOwner,
    signal: AbortSignal,
  ): Promise<TemplateRecord> {
    return await findTemplate(this.#deps.templates, tenant, name, revision, signal);
  }

  /**
   * The JSON Schema of the parameters of a template, with what the backends list now.
   *
   * @throws ServiceError `TEMPLATE_NOT_FOUND`
   */
  async jsonSchema(
    name: string,
    revision: TemplateRevision,
    owner: TemplateOwner,
    signal: AbortSignal,
  ): Promise<{ readonly text: string; readonly version: number }> {
    const template = await this.get(name, revision, owner, signal);
    return {
      text: templateJsonSchema(template, await this.#knownClasses(signal)),
      version: template.version,
    };
  }

  /** The newest version of each template, by name, after the name `after`. */
  async list(
    after: string | undefined,
    limit: number,
    { tenant }: TemplateOwner,
    signal: AbortSignal,
  ): Promise<readonly TemplateSummary[]> {
    return await this.#deps.templates.list(tenant, after, limit, signal);
  }

  /**
   * The versions of a template, the newest first, below the number `before`.
   *
   * @throws ServiceError `TEMPLATE_NOT_FOUND` if there are none at all
   */
  async listVersions(
    name: string,
    before: number | undefined,
    limit: number,
    { tenant }: TemplateOwner,
    signal: AbortSignal,
  ): Promise<readonly TemplateSummary[]> {
    const versions = await this.#deps.templates.listVersions(tenant, name, before, limit, signal);
    if (versions.length === 0 && before === undefined) {
      throw templateNotFound(name, { type: "newest" });
    }
    return versions;
  }

  /** @throws ServiceError `TEMPLATE_NOT_FOUND` if there is no such version */
  async setAlias(
    name: string,
    alias: string,
    version: number,
    { tenant }: TemplateOwner,
    signal: AbortSignal,
  ): Promise<TemplateRecord> {
    const { templates } = this.#deps;
    const template = await templates.setAlias(tenant, name, alias, version, signal);
    return template ?? (await findTemplate(templates, tenant, name, { type: "version", version }, signal));
  }

  /** @throws ServiceError `TEMPLATE_NOT_FOUND` if there is no such alias */
  async deleteAlias(
    name: string,
    alias: string,
    { tenant }: TemplateOwner,
    signal: AbortSignal,
  ): Promise<void> {
    if (!(await this.#deps.templates.deleteAlias(tenant, name, alias, signal))) {
      throw templateNotFound(name, { type: "alias", alias });
    }
  }

  /**
   * Removes a version, or, without a number, the whole template.
   *
   * @throws ServiceError `TEMPLATE_NOT_FOUND`; `TEMPLATE_IN_USE` if an alias points to the version
   */
  async remove(
    name: string,
    version: number | undefined,
    { tenant }: TemplateOwner,
    signal: AbortSignal,
  ): Promise<void> {
    const outcome = await this.#deps.templates.remove(tenant, name, version, signal);
    if (outcome === "absent") {
      throw templateNotFound(name, version === undefined ? { type: "newest" } : { type: "version", version });
    }
    if (outcome === "aliased") {
      throw new ServiceError(
        "TEMPLATE_IN_USE",
        `an alias points to version ${version} of the template ${name}; move or delete the alias first`,
      );
    }
  }

  async #define({ name, description, workflowJson, parameters }: TemplateRequest, signal: AbortSignal) {
    const graph = await this.#graphOf(workflowJson, signal);
    return defineTemplate(
      {
        ...{ name, description, graph },
        parameters: parameters.length > 0 ? parameters : proposeParameters(graph),
      },
      parameters.length > 0 ? await this.#knownClasses(signal) : undefined,
    );
  }

  /** What the editor of ComfyUI saves is converted by what the backends say of its node classes. */
  async #graphOf(workflowJson: string, signal: AbortSignal): Promise<WorkflowGraph> {
    const { workflowLimits, nodeClasses } = this.#deps;
    const { format } = parseWorkflow(workflowJson, workflowLimits);
    const classes = format === "editor" ? await nodeClasses(signal) : new Map<string, NodeClass>();
    const { graph, problems } = readWorkflow(workflowJson, classes, workflowLimits);
    const error = workflowError({ violations: [], problems }, "workflow_json");
    if (error !== undefined) {
      throw error;
    }
    return graph;
  }

  /** A template can be registered and looked at while no backend is there to ask. */
  async #knownClasses(signal: AbortSignal): Promise<NodeClasses | undefined> {
    try {
      return await this.#deps.nodeClasses(signal);
    } catch (error) {
      if (isServiceError(error, "NO_BACKEND", "BACKEND_PROTOCOL")) {
        return undefined;
      }
      throw error;
    }
  }
}
