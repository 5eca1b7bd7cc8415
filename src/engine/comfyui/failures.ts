import { type NodeFailure, ServiceError } from "../../domain/errors.ts";
import { asArray, asObject, asString, isObject, type JsonObject } from "./json-shape.ts";
import { toPlainLine } from "./plain-text.ts";

/** `data` of an `execution_error`, as far as callers may see it: no traceback, no inputs. */
export interface ExecutionFailure {
  readonly nodeId: string;
  readonly classType: string;
  /** Class of the exception: `ValueError`, `torch.OutOfMemoryError`. */
  readonly exceptionType: string;
  /** Its first line, without paths; with the second if the first announces it. */
  readonly message: string;
}

export function parseExecutionFailure(data: JsonObject): ExecutionFailure {
  return {
    nodeId: asString(data.node_id) ?? "",
    classType: asString(data.node_type) ?? "",
    exceptionType: asString(data.exception_type) ?? "",
    message: toPlainLine(asString(data.exception_message) ?? ""),
  };
}

/**
 * Whether the failure is one of a blocked branch: ComfyUI reports it as an error, goes on, and ends the prompt with
 * success and without that branch's outputs.
 */
export function isBlockedBranch({ exceptionType }: ExecutionFailure): boolean {
  return exceptionType === "ExecutionBlocked";
}

/** `OUT_OF_MEMORY` or `NODE_FAILED`, with the node in its details. */
export function executionError(failure: ExecutionFailure): ServiceError {
  const { nodeId, classType, exceptionType, message } = failure;
  const details = { nodes: [{ nodeId, classType, errorType: exceptionType, message }] };
  const where = `node ${nodeId} (${classType})`;
  return isOutOfMemory(failure)
    ? new ServiceError(
        "OUT_OF_MEMORY",
        `the GPU ran out of memory at ${where}; ask for fewer images or a smaller size`,
        details,
      )
    : new ServiceError(
        "NODE_FAILED",
        `${where} failed: ${withAdvice(failure, message || exceptionType || "no reason given")}`,
        details,
      );
}

/** What to do about failures that wrong or broken model files bring about: ComfyUI's own words tell nobody. */
const advice: readonly (readonly [failure: RegExp, advice: string])[] = [
  [
    /\b(?:SafetensorError|UnpicklingError)\b/,
    "the file of the model is damaged or incomplete on the backend: choose another, or have it copied there again",
  ],
  [
    /\bUnsupportedModelError\b|loading state_dict|Could not detect model type|(?:controlnet file|VAE) is invalid/i,
    "the file holds no model of the kind that this node loads: choose another",
  ],
  [
    /shapes cannot be multiplied/,
    "models of different families do not go together: choose a LoRA, ControlNet, VAE or text encoder made for the model",
  ],
];

function withAdvice({ exceptionType, message }: ExecutionFailure, reason: string): string {
  const found = advice.find(([failure]) => failure.test(`${exceptionType}: ${message}`))?.[1];
  return found === undefined ? reason : `${reason.replace(/[.:]$/, "")}; ${found}`;
}

/** Running out of memory has several shapes, depending on the versions of ComfyUI and torch. */
function isOutOfMemory({ exceptionType, message }: ExecutionFailure): boolean {
  return (
    exceptionType.includes("OutOfMemoryError") ||
    (/(?:Runtime|Accelerator)Error$/.test(exceptionType) && /out of memory/i.test(message))
  );
}

/**
 * `WORKFLOW_REJECTED` from the body of a 400, or of a 200 that names nodes which were left out.
 *
 * @param graph names the class of a node where the body does not
 */
export function rejection(
  body: unknown,
  graph: Readonly<Record<string, { class_type: string }>>,
): ServiceError {
  const { error, node_errors: nodeErrors } = asObject(body);
  const nodes = [...failuresOfNodes(nodeErrors), ...failureOfPrompt(asObject(error), graph)];
  const first = nodes[0];
  const reason =
    first === undefined
      ? describe(asObject(error)) || "no reason given"
      : `node ${first.nodeId} (${first.classType}): ${first.message}`;
  const rest = nodes.length > 1 ? `, and ${nodes.length - 1} more` : "";
  return new ServiceError("WORKFLOW_REJECTED", `the backend refused the workflow: ${reason}${rest}`, {
    nodes,
  });
}

/** Whether the body of an accepted submission says that a part of the graph was left out. */
export function hasNodeErrors(body: unknown): boolean {
  const { node_errors: nodeErrors } = asObject(body);
  return isObject(nodeErrors) && Object.keys(nodeErrors).length > 0;
}

function failuresOfNodes(nodeErrors: unknown): readonly NodeFailure[] {
  return Object.entries(asObject(nodeErrors)).flatMap(([nodeId, node]) => {
    const { class_type: classType, errors } = asObject(node);
    return asArray(errors).map((error) => nodeFailure(nodeId, asString(classType) ?? "", asObject(error)));
  });
}

/**
 * A rejection of the whole prompt may be about one node, which newer servers name in `extra_info`, older ones only in
 * the text "Node ID '#8'".
 */
function failureOfPrompt(
  error: JsonObject,
  graph: Readonly<Record<string, { class_type: string }>>,
): readonly NodeFailure[] {
  const { node_id: named, class_type: classType } = asObject(error.extra_info);
  const nodeId = asString(named) ?? /^Node ID '#(.+)'$/.exec(asString(error.details) ?? "")?.[1];
  return nodeId === undefined
    ? []
    : [nodeFailure(nodeId, asString(classType) ?? graph[nodeId]?.class_type ?? "", error)];
}

function nodeFailure(nodeId: string, classType: string, error: JsonObject): NodeFailure {
  const inputName = asString(asObject(error.extra_info).input_name);
  return {
    nodeId,
    classType,
    errorType: asString(error.type) ?? "",
    ...(inputName !== undefined && { inputName }),
    message: describe(error),
  };
}

/** What is wrong, and with which value. `extra_info` is left aside: it holds host paths, whole lists, and prompts. */
function describe(error: JsonObject): string {
  const message = toPlainLine(asString(error.message) ?? "");
  const details = toPlainLine(asString(error.details) ?? "");
  if (details === "" || details === message) {
    return message;
  }
  return message === "" ? details : `${message.replace(/\.$/, "")}: ${details}`;
}

/** The backend cannot be reached, and nothing was begun there. */
export function noBackend(cause?: unknown): ServiceError {
  return new ServiceError(
    "NO_BACKEND",
    "the backend cannot be reached; try again later",
    { retryAfterMs: 2_000 },
    { cause },
  );
}
