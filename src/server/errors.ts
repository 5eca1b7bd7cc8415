import {
  create,
  createRegistry,
  type DescMessage,
  type Message,
  type MessageInitShape,
  type Registry,
} from "@bufbuild/protobuf";
import { anyPack, durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { WorkflowFailureSchema } from "../../gen/comfyrpc/v1/error_pb.js";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { type Status, StatusSchema } from "../../gen/google/rpc/status_pb.js";
import { type ErrorReason, ServiceError } from "../domain/errors.ts";
import { type JobFailure, toServiceError } from "../domain/job-failure.ts";
import { cutText } from "../lib/cut-text.ts";

/** Status of each reason, as the public API documents it at `ErrorReason`. */
const codeOf: Readonly<Record<ErrorReason, Code>> = {
  INVALID_FIELD: Code.InvalidArgument,
  MODEL_NOT_FOUND: Code.InvalidArgument,
  LORA_NOT_FOUND: Code.InvalidArgument,
  VAE_NOT_FOUND: Code.InvalidArgument,
  SAMPLER_NOT_FOUND: Code.InvalidArgument,
  SCHEDULER_NOT_FOUND: Code.InvalidArgument,
  WORKFLOW_REJECTED: Code.InvalidArgument,
  NODE_FAILED: Code.FailedPrecondition,
  OUT_OF_MEMORY: Code.ResourceExhausted,
  NO_OUTPUT: Code.FailedPrecondition,
  OUTPUT_TOO_LARGE: Code.ResourceExhausted,
  NO_BACKEND: Code.Unavailable,
  BACKEND_LOST: Code.Unavailable,
  BACKEND_STALLED: Code.Unavailable,
  BACKEND_PROTOCOL: Code.Unavailable,
  PROMPT_LOST: Code.Unavailable,
  PROMPT_INTERRUPTED: Code.Unavailable,
  LEASE_LOST: Code.Unavailable,
  PROMPT_LEFT: Code.Unavailable,
  QUEUE_FULL: Code.ResourceExhausted,
  RESPONSE_TOO_LARGE: Code.ResourceExhausted,
  JOB_TIMEOUT: Code.DeadlineExceeded,
  CANCELLED_BY_CALLER: Code.Canceled,
  CANCELLED_BY_REQUEST: Code.Canceled,
  SHUTTING_DOWN: Code.Unavailable,
  STORE_UNAVAILABLE: Code.Unavailable,
  REQUEST_ID_REUSED: Code.AlreadyExists,
  JOB_NOT_FOUND: Code.NotFound,
  BATCH_NOT_FOUND: Code.NotFound,
  ASSET_NOT_FOUND: Code.NotFound,
  JOB_ACTIVE: Code.FailedPrecondition,
  OFFSET_OUT_OF_RANGE: Code.OutOfRange,
  ASSET_REJECTED: Code.InvalidArgument,
  ASSET_TOO_LARGE: Code.ResourceExhausted,
  INPUT_REJECTED: Code.InvalidArgument,
  INPUT_UNREACHABLE: Code.FailedPrecondition,
  WORKFLOW_INVALID: Code.InvalidArgument,
  NODE_NOT_ALLOWED: Code.PermissionDenied,
  TEMPLATE_NOT_FOUND: Code.NotFound,
  NODE_CLASS_NOT_FOUND: Code.NotFound,
  TEMPLATE_IN_USE: Code.FailedPrecondition,
  INTERNAL: Code.Internal,
};

/** Types of the details that a status may have, which JSON needs to know to write a status inside a message. */
export const statusDetailTypes: Registry = createRegistry(
  ErrorInfoSchema,
  BadRequestSchema,
  RetryInfoSchema,
  WorkflowFailureSchema,
);

/**
 * Turns any error into the status that the caller gets; the only place that does. A {@link ServiceError} keeps its text
 * and details, a `ConnectError` of the RPC library stays as it is, and anything else says nothing but "internal error"
 * and the request id, under which the log has the cause.
 */
export function toConnectError(error: unknown, requestId: string): ConnectError {
  if (error instanceof ConnectError) {
    return error;
  }
  const { code, message, details } = statusOf(error, { request_id: requestId });
  return new ConnectError(message, code, undefined, [...details], error);
}

/** The error that a call which waits for a job fails with, if the job has ended by `failure`. */
export function errorOfJob(jobId: string, failure: JobFailure): ServiceError {
  return toServiceError(failure).with({ metadata: { job_id: jobId } });
}

/** Writes a failure that is kept with a job as the status of a call that waits for that job, without a request id. */
export function toStatusMessage(failure: JobFailure, jobId: string): Status {
  const { code, message, details } = statusOf(errorOfJob(jobId, failure), { job_id: jobId });
  return create(StatusSchema, {
    code,
    message,
    details: details.map(({ desc, value }) => anyPack(desc, value)),
  });
}

/** Writes a failure that a call would end by, were it made, as its status. */
export function toErrorStatus(error: ServiceError): Status {
  const { code, message, details } = statusOf(error, {});
  return create(StatusSchema, {
    code,
    message,
    details: details.map(({ desc, value }) => anyPack(desc, value)),
  });
}

interface OutgoingStatus {
  readonly code: Code;
  readonly message: string;
  readonly details: readonly OutgoingDetail[];
}

interface OutgoingDetail<Desc extends DescMessage = DescMessage> {
  readonly desc: Desc;
  readonly value: Message;
}

/** @param logged by what the log can be searched, as metadata of the status */
function statusOf(error: unknown, logged: Readonly<Record<string, string>>): OutgoingStatus {
  if (error instanceof ServiceError && error.reason !== "INTERNAL") {
    const reason = publicReason(error.reason);
    const message = shortened(error.message);
    return { code: codeOf[reason], message, details: detailsOf(error, reason, logged) };
  }
  const [[idName, id] = ["request_id", ""]] = Object.entries(logged);
  const message = `internal error; the log of the server has more under ${idName.replace("_", " ")} ${id}`;
  const jobId = error instanceof ServiceError ? error.details.metadata?.job_id : undefined;
  const metadata = { ...(jobId !== undefined && { job_id: jobId }), ...logged };
  return { code: codeOf.INTERNAL, message, details: [detail(ErrorInfoSchema, infoOf("INTERNAL", metadata))] };
}

/** The reasons that normally are retried, or left to another process, have no name in the API. */
function publicReason(reason: ErrorReason): ErrorReason {
  return internalReasons.has(reason) ? "BACKEND_LOST" : reason;
}

const internalReasons: ReadonlySet<ErrorReason> = new Set([
  "PROMPT_LOST",
  "PROMPT_INTERRUPTED",
  "PROMPT_LEFT",
  "LEASE_LOST",
]);

function detailsOf(
  { details: { metadata, violations = [], nodes = [], retryAfterMs } }: ServiceError,
  reason: ErrorReason,
  logged: Readonly<Record<string, string>>,
): OutgoingDetail[] {
  const details = [detail(ErrorInfoSchema, infoOf(reason, { ...metadata, ...logged }))];
  if (violations.length > 0) {
    const fieldViolations = fitting(
      violations.map(({ field, description }) => ({
        field: shortened(field),
        description: shortened(description),
      })),
      ({ field, description }) => Buffer.byteLength(field) + Buffer.byteLength(description),
    );
    details.push(detail(BadRequestSchema, { fieldViolations }));
  }
  if (nodes.length > 0) {
    const failures = fitting(
      nodes.map(({ nodeId, classType, errorType, message, inputName = "", title = "" }) => ({
        nodeId: shortened(nodeId),
        classType: shortened(classType),
        inputName: shortened(inputName),
        title: shortened(title),
        errorType,
        message: shortened(message),
      })),
      (node) => Object.values(node).reduce((total, text) => total + Buffer.byteLength(text), 0),
    );
    details.push(detail(WorkflowFailureSchema, { nodes: failures }));
  }
  if (retryAfterMs !== undefined) {
    details.push(detail(RetryInfoSchema, { retryDelay: durationFromMs(Math.ceil(retryAfterMs)) }));
  }
  return details;
}

function infoOf(reason: ErrorReason, metadata: Readonly<Record<string, string>>) {
  return { reason, domain: "comfyrpc", metadata: { ...metadata } };
}

function detail<Desc extends DescMessage>(desc: Desc, init: MessageInitShape<Desc>): OutgoingDetail {
  return { desc, value: create(desc, init) };
}

/**
 * As many of `items` from the first on as are small enough together, and at least one. A status travels in a header or
 * trailer, of which gRPC clients take some 8 KiB unless configured: a larger one would cost the caller the whole error.
 */
function fitting<T>(items: readonly T[], sizeOf: (item: T) => number): T[] {
  let sizeBytes = 0;
  const end = items.findIndex((item, i) => {
    sizeBytes += sizeOf(item);
    return i > 0 && sizeBytes > detailBudgetBytes;
  });
  return end === -1 ? [...items] : items.slice(0, end);
}

const detailBudgetBytes = 3_072;

/** Names that callers choose, such as keys of a map, stand in texts and paths of fields, and may be of any length. */
function shortened(text: string): string {
  return cutText(text, longestText);
}

const longestText = 1_024;
