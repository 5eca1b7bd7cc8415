import { type FieldViolation, ServiceError } from "../errors.ts";
import { type GraphProblem, toNodeFailure } from "./graph-problem.ts";

/** What is wrong with a workflow of a caller. */
export interface WorkflowFaults {
  /** Fields of the request beside the workflow itself. */
  readonly violations: readonly FieldViolation[];
  readonly problems: readonly GraphProblem[];
}

/**
 * The failure that a caller gets of what is wrong with its workflow: every error at once, the text naming the first.
 * `undefined` if there are only warnings, or nothing.
 *
 * @param field path of the field that has the workflow
 */
export function workflowError(
  { violations, problems }: WorkflowFaults,
  field: string,
): ServiceError | undefined {
  const errors = problems.filter(({ severity }) => severity === "error");
  const forbidden = errors.filter(({ kind }) => kind === "class_not_allowed" || kind === "path_not_allowed");
  const [violation] = violations;
  const first = forbidden[0] ?? errors[0];
  const more = violations.length + errors.length - 1;
  const andMore = more > 0 ? ` (and ${more} more)` : "";
  if (violation !== undefined && forbidden.length === 0) {
    return new ServiceError("INVALID_FIELD", `${violation.field}: ${violation.description}${andMore}`, {
      violations,
      nodes: errors.map(toNodeFailure),
    });
  }
  if (first === undefined) {
    return undefined;
  }
  const description = `${placeOf(first)}${first.message}; ${first.remedy}${andMore}`;
  return new ServiceError(
    forbidden.length > 0 ? "NODE_NOT_ALLOWED" : "WORKFLOW_INVALID",
    `${field}: ${description}`,
    {
      violations: [...violations, { field, description }],
      nodes: [...forbidden, ...errors.filter((one) => !forbidden.includes(one))].map(toNodeFailure),
    },
  );
}

function placeOf({ nodeId, classType, title }: GraphProblem): string {
  if (nodeId === "") {
    return "";
  }
  const what = [classType, ...(title === undefined || title === classType ? [] : [`"${title}"`])].join(" ");
  return `node ${nodeId.slice(0, 64)}${what === "" ? "" : ` (${what.slice(0, 128)})`}: `;
}
