import { randomUUID } from "node:crypto";
import type { BackendVerdict, DryRun, DryRunProblem, FieldProblem } from "../domain/dry-run.ts";
import type { ServiceError } from "../domain/errors.ts";
import type { GenerationSpec } from "../domain/generation.ts";
import { shapeOfGraph } from "../domain/graph-shape.ts";
import { type GraphProblem, hasErrors } from "../domain/workflow/graph-problem.ts";
import type { Engine } from "../engine/engine.ts";
import type { JobStore } from "../storage/job-store.ts";
import type { Caller } from "./caller.ts";
import type { RunTimes } from "./run-times.ts";
import {
  type BackendFindings,
  type ExaminedSpec,
  type SpecResolver,
  workflowFields,
} from "./spec-resolver.ts";
import { templateFields } from "./template-resolver.ts";

export interface DryRunnerDependencies {
  readonly engines: readonly Engine[];
  readonly resolver: SpecResolver;
  readonly store: Pick<JobStore, "findReusable">;
  readonly runTimes: RunTimes;
}

/** Tells what would become of specs, without making a job. */
export class DryRunner {
  readonly #deps: DryRunnerDependencies;

  constructor(deps: DryRunnerDependencies) {
    this.#deps = deps;
  }

  /** The same for the specs of one call: see `SpecResolver.forCall`. */
  forCall(): DryRunner {
    return new DryRunner({ ...this.#deps, resolver: this.#deps.resolver.forCall() });
  }

  /**
   * A spec that is wrong is no failure.
   *
   * @throws ServiceError `NO_BACKEND` if nothing is known of any backend; what has nothing to do with the spec
   */
  async run(spec: GenerationSpec, { tenant }: Caller, signal: AbortSignal): Promise<DryRun> {
    const examined = await this.#deps.resolver.examine(spec, randomUUID(), tenant, signal);
    const { resolved, error, graph } = examined;
    const general = problemsForAny(examined);
    const shape = resolved && shapeOfGraph(resolved.plan.graph);
    const backends = this.#deps.engines.map((engine) => {
      const findings = examined.backends.find(({ backend }) => backend === engine.name)?.value;
      return this.#verdict(engine.name, findings, general, shape);
    });
    const estimates = backends.flatMap(({ estimatedRunMs }) => estimatedRunMs ?? []);
    const earlier =
      spec.allowReuse && resolved !== undefined
        ? await this.#deps.store.findReusable(tenant, resolved.reuseKey, new Date(), signal)
        : undefined;
    return {
      ...(error && { error }),
      problems: general,
      backends,
      ...(resolved && { generation: resolved.generation }),
      ...(graph && { graph }),
      ...(estimates.length > 0 && { estimatedRunMs: Math.min(...estimates) }),
      ...(earlier && { reusedJobId: earlier.result?.reusedJobId ?? earlier.id }),
    };
  }

  #verdict(
    name: string,
    findings: BackendFindings | undefined,
    general: readonly DryRunProblem[],
    shape: string | undefined,
  ): BackendVerdict {
    if (findings === undefined) {
      return { name, isAsked: false, isRunnable: false, problems: [], missingClasses: [], missingModels: [] };
    }
    const fields = fieldProblems(findings.error);
    const isGeneral = new Set(general.map(textOf));
    const isRunnable =
      findings.error === undefined && !hasErrors(findings.problems) && !general.some(isError);
    const estimatedRunMs = isRunnable && shape ? this.#deps.runTimes.estimateMs(shape, name) : undefined;
    return {
      name,
      isAsked: true,
      isRunnable,
      problems: [...fields.filter((one) => !isGeneral.has(textOf(one))), ...findings.problems],
      missingClasses: sorted(
        findings.problems.flatMap(({ kind, unknownName }) =>
          kind === "missing_node_type" ? (unknownName ?? []) : [],
        ),
      ),
      missingModels: sorted([
        ...fields.flatMap(({ unknownName }) => unknownName ?? []),
        ...findings.problems.flatMap((problem) =>
          isMissingModel(problem) ? (problem.unknownName ?? []) : [],
        ),
      ]),
      ...(estimatedRunMs !== undefined && { estimatedRunMs }),
    };
  }
}

/** What is wrong with a spec whatever backend runs it: all but what only some of those that were asked complain of. */
function problemsForAny({ error, problems, backends }: ExaminedSpec): readonly DryRunProblem[] {
  const others = backends.flatMap(({ value }) => fieldProblems(value.error).map(textOf));
  const count = (problem: FieldProblem) => others.filter((text) => text === textOf(problem)).length;
  const isOfWorkflow = problems.length > 0 || backends.some(({ value }) => value.problems.length > 0);
  const fields = fieldProblems(error).filter((problem) => {
    const complaining = count(problem);
    return complaining === 0 || complaining === backends.length;
  });
  // The failure of a workflow says in one field what its problems say node by node.
  return [...(isOfWorkflow ? fields.filter(({ field }) => !summaries.has(field)) : fields), ...problems];
}

/** Fields by which the failure of a workflow sums up what is wrong with it. */
const summaries: ReadonlySet<string> = new Set([workflowFields.workflow, templateFields.workflow]);

function fieldProblems(error: ServiceError | undefined): FieldProblem[] {
  if (error === undefined) {
    return [];
  }
  const { violations = [{ field: "spec", description: error.message }] } = error.details;
  return violations.map(({ field, description, unknownModel }) => ({
    kind: "invalid_field",
    field,
    message: description,
    ...(unknownModel !== undefined && { unknownName: unknownModel }),
  }));
}

function isError(problem: DryRunProblem): boolean {
  return problem.kind === "invalid_field" || problem.severity === "error";
}

/** Equal for equal problems. */
function textOf(problem: DryRunProblem): string {
  return problem.kind === "invalid_field" ? `${problem.field} ${problem.message}` : "";
}

function isMissingModel({ kind, inputName = "", unknownName = "" }: GraphProblem): boolean {
  return kind === "value_not_in_list" && (modelInput.test(inputName) || modelFile.test(unknownName));
}

/** Inputs that name models are called so, such as `ckpt_name`, `lora_name`, `clip_name2` or `style_model_name`. */
const modelInput =
  /^(?:\w+_)?(?:ckpt|lora|vae|unet|clip|model|control_net|gligen|hypernetwork|embedding)_name\d*$/;

const modelFile = /\.(?:safetensors|sft|ckpt|pth?|bin|gguf|onnx)$/i;

function sorted(names: readonly string[]): string[] {
  return [...new Set(names)].sort();
}
