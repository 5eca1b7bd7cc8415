import { durationMs } from "@bufbuild/protobuf/wkt";
import {
  type BackendVerdict,
  type DryRun,
  type DryRunProblem,
  ProblemSeverity,
} from "../../../gen/comfyrpc/v1/dry_run_pb.js";
import { formatSeconds } from "../format-duration.ts";
import { plainText } from "../plain-text.ts";

/** Whether any of `problems` keeps a workflow from being run. */
export function hasErrors(problems: readonly DryRunProblem[]): boolean {
  return problems.some(({ severity }) => severity === ProblemSeverity.ERROR);
}

/** One line for people: where it is, what is wrong, and what to do about it. */
export function problemLine(problem: DryRunProblem): string {
  const { severity, field, nodeId, classType, title, inputName, message, remedy } = problem;
  const what = [classType, ...(title === "" || title === classType ? [] : [`"${title}"`])].join(" ");
  const node = nodeId === "" ? "" : `node ${nodeId}${what === "" ? "" : ` (${what})`}`;
  const place = [field || node, inputName].filter((part) => part !== "").join(", ");
  const kind = severity === ProblemSeverity.ERROR ? "error" : "warning";
  const text = [message, remedy].filter((part) => part !== "").join("; ");
  return plainText(`${kind}: ${place === "" ? "" : `${place}: `}${text}`);
}

/** What would become of a spec, for people: what is wrong for any backend, then what each backend says. */
export function dryRunLines({ problems, backends }: DryRun): string[] {
  return [...problems.map(problemLine), ...backends.flatMap(verdictLines)];
}

function verdictLines(verdict: BackendVerdict): string[] {
  const { name, asked, runnable, problems, missingNodeClasses, missingModels, estimatedRunTime } = verdict;
  const time =
    estimatedRunTime === undefined ? "" : `, in about ${formatSeconds(durationMs(estimatedRunTime))}`;
  const lacks = [
    ...(missingNodeClasses.length > 0 ? [`node classes ${missingNodeClasses.join(", ")}`] : []),
    ...(missingModels.length > 0 ? [`models ${missingModels.join(", ")}`] : []),
  ];
  const answer = !asked
    ? "is out of reach"
    : runnable
      ? `can run it${time}`
      : `cannot run it${lacks.length > 0 ? `; it lacks ${lacks.join(" and ")}` : ""}`;
  return [plainText(`backend ${name} ${answer}`), ...problems.map((problem) => `  ${problemLine(problem)}`)];
}
