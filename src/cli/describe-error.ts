import { type JsonValue, toJson } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import { type NodeFailure, NodeFailureSchema } from "../../gen/comfyrpc/v1/error_pb.js";
import type { BadRequest_FieldViolation } from "../../gen/google/rpc/error_details_pb.js";
import { flagOfField } from "./field-flags.ts";
import { formatSeconds } from "./format-duration.ts";
import { plainText } from "./plain-text.ts";
import { RpcError } from "./rpc-error.ts";

/** What people need to know of the call that failed. */
export interface CallContext {
  /** The service, as it is named to people. */
  readonly serverName: string;
  /** Whether the service has answered anything before the call failed. */
  readonly hasAnswered: boolean;
}

/** `error` in lines for people: the reason and the text, then what is known of fields, nodes and of trying again. */
export function errorLines(error: Error, context: CallContext): string[] {
  if (!(error instanceof RpcError)) return [`error: ${plainText(error.message)}`];
  return isUnreachable(error) ? unreachableLines(error, context) : failureLines(error);
}

/** As {@link errorLines}, for a failure that the service told of, such as that of a job. */
export function failureLines(error: RpcError): string[] {
  const { reason, violations, nodes, retryAfterMs } = error.details;
  return [
    ...headLines(reason ?? error.codeName, error.message, violations),
    ...nodes.map(nodeLine),
    ...(retryAfterMs === undefined ? [] : [`  try again in ${formatSeconds(Math.max(1000, retryAfterMs))}`]),
  ];
}

/** `error` for programs: code, reason, message and details, those that are empty left out. */
export function errorJson(error: Error): JsonValue {
  if (!(error instanceof RpcError)) return { message: error.message };
  const { reason, metadata, violations, nodes, retryAfterMs } = error.details;
  return {
    code: error.codeName,
    ...(reason === undefined ? {} : { reason }),
    message: error.message,
    ...(Object.keys(metadata).length > 0 ? { metadata: { ...metadata } } : {}),
    ...(violations.length > 0 ? { violations: violations.map(violationJson) } : {}),
    ...(nodes.length > 0 ? { nodes: nodes.map((node) => toJson(NodeFailureSchema, node)) } : {}),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  };
}

/** The service always says a reason; without one, it is the connection that failed. */
function isUnreachable(error: RpcError): boolean {
  return error.code === status.UNAVAILABLE && error.details.reason === undefined;
}

function unreachableLines(error: RpcError, { serverName, hasAnswered }: CallContext): string[] {
  // grpc-js wraps the cause: "No connection established. Last error: CAUSE. Resolution note: NOTE".
  const cause =
    /Last error: (?:\w*Error(?: \[\w+\])?: )?(.*?)\.?(?: Resolution note:.*)?$/s.exec(error.message)?.[1] ??
    error.message;
  const what = hasAnswered
    ? `lost the connection to the service at ${serverName}`
    : `cannot reach the service at ${serverName}; start it with \`comfyrpc serve\``;
  return [`error: ${what}`, `  ${plainText(cause)}`];
}

/** The text of a failure about fields mostly repeats the first of them, which is then told only once. */
function headLines(
  reason: string,
  message: string,
  violations: readonly BadRequest_FieldViolation[],
): string[] {
  const [first, ...others] = violations;
  const isRepeated = first !== undefined && message.startsWith(`${first.field}: ${first.description}`);
  if (isRepeated && others.length === 0) return [`error: ${reason}: ${violationText(first)}`];
  const head = isRepeated ? `error: ${reason}` : `error: ${reason}: ${plainText(message)}`;
  return [head, ...violations.map((violation) => `  ${violationText(violation)}`)];
}

function violationText({ field, description }: BadRequest_FieldViolation): string {
  const flag = flagOfField(field);
  return `${plainText(field)}${flag ? ` (${flag})` : ""}: ${plainText(description)}`;
}

function violationJson({ field, description }: BadRequest_FieldViolation): JsonValue {
  return { field, description };
}

function nodeLine({ nodeId, classType, title, inputName, errorType, message }: NodeFailure): string {
  const name = title && title !== classType ? `"${title}" (${classType})` : classType;
  const input = inputName ? `, input ${inputName}` : "";
  const type = errorType ? ` [${errorType}]` : "";
  return plainText(`node ${nodeId} ${name}${input}: ${message}${type}`).replace(/^/, "  ");
}
