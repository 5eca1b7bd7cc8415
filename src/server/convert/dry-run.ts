import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type DryRunProblemSchema,
  type DryRunSchema,
  ProblemSeverity,
} from "../../../gen/comfyrpc/v1/dry_run_pb.js";
import type { BackendVerdict, DryRun, DryRunProblem } from "../../domain/dry-run.ts";
import { hashGraph } from "../../domain/graph-hash.ts";
import { writeJson } from "../../lib/lossless-json.ts";
import { toErrorStatus } from "../errors.ts";
import { toSpecMessage } from "./spec.ts";
import { toDuration } from "./time.ts";

/** Writes what would become of a spec. */
export function toDryRunInit(dryRun: DryRun): MessageInitShape<typeof DryRunSchema> {
  const { error, problems, backends, generation, graph, estimatedRunMs, reusedJobId = "" } = dryRun;
  return {
    ...(error && { error: toErrorStatus(error) }),
    problems: toProblemInits(problems),
    backends: backends.map(toVerdictInit),
    ...(generation && { resolvedSpec: toSpecMessage(generation) }),
    ...(graph && { graphJson: writeJson(graph), graphSha256: hashGraph(graph) }),
    ...(estimatedRunMs !== undefined && { estimatedRunTime: toDuration(estimatedRunMs) }),
    reusedJobId,
  };
}

/** Writes problems, as many as a message may have. */
export function toProblemInits(
  problems: readonly DryRunProblem[],
): MessageInitShape<typeof DryRunProblemSchema>[] {
  return problems.slice(0, mostProblems).map(toProblemInit);
}

/** A graph of thousands of nodes can be wrong in as many ways; nobody reads on, and the message has a limit. */
const mostProblems = 1_000;

function toProblemInit(problem: DryRunProblem): MessageInitShape<typeof DryRunProblemSchema> {
  if (problem.kind === "invalid_field") {
    const { kind: errorType, field, message } = problem;
    return { severity: ProblemSeverity.ERROR, errorType, field, message };
  }
  const {
    severity,
    kind: errorType,
    nodeId,
    classType,
    title = "",
    inputName = "",
    message,
    remedy,
  } = problem;
  return {
    severity: messageSeverity[severity],
    errorType,
    nodeId,
    classType,
    title,
    inputName,
    message,
    remedy,
  };
}

const messageSeverity = { error: ProblemSeverity.ERROR, warning: ProblemSeverity.WARNING } as const;

function toVerdictInit({
  name,
  isAsked: asked,
  isRunnable: runnable,
  problems,
  missingClasses,
  missingModels,
  estimatedRunMs,
}: BackendVerdict) {
  return {
    name,
    asked,
    runnable,
    problems: toProblemInits(problems),
    missingNodeClasses: [...missingClasses],
    missingModels: [...missingModels],
    ...(estimatedRunMs !== undefined && { estimatedRunTime: toDuration(estimatedRunMs) }),
  };
}
