import { create, type DescMessage, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { WorkflowFailureSchema } from "../../gen/comfyrpc/v1/error_pb.js";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { type ErrorReason, ServiceError } from "../domain/errors.ts";

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
  NO_BACKEND: Code.Unavailable,
  BACKEND_LOST: Code.Unavailable,
  BACKEND_STALLED: Code.Unavailable,
  BACKEND_PROTOCOL: Code.Unavailable,
  PROMPT_LOST: Code.Unavailable,
  PROMPT_INTERRUPTED: Code.Unavailable,
  QUEUE_FULL: Code.ResourceExhausted,
  RESPONSE_TOO_LARGE: Code.ResourceExhausted,
  JOB_TIMEOUT: Code.DeadlineExceeded,
  CANCELLED_BY_CALLER: Code.Canceled,
  SHUTTING_DOWN: Code.Unavailable,
  INTERNAL: Code.Internal,
};

/**
 * Turns any error into the status that the caller gets; the only place that does. A {@link ServiceError} keeps its text
 * and details, a `ConnectError` of the RPC library stays as it is, and anything else says nothing but "internal error"
 * and the request id, under which the log has the cause.
 */
export function toConnectError(error: unknown, requestId: string): ConnectError {
  if (error instanceof ConnectError) {
    return error;
  }
  const known = error instanceof ServiceError && error.reason !== "INTERNAL" ? error : undefined;
  const reason = known === undefined ? "INTERNAL" : publicReason(known.reason);
  const message =
    known?.message ?? `internal error; the log of the server has more under request id ${requestId}`;
  return new ConnectError(message, codeOf[reason], undefined, detailsOf(known, reason, requestId), error);
}

/** The reasons that normally are retried have no name in the API. */
function publicReason(reason: ErrorReason): ErrorReason {
  return reason === "PROMPT_LOST" || reason === "PROMPT_INTERRUPTED" ? "BACKEND_LOST" : reason;
}

interface OutgoingDetail<Desc extends DescMessage = DescMessage> {
  readonly desc: Desc;
  readonly value: MessageInitShape<Desc>;
}

function detailsOf(
  error: ServiceError | undefined,
  reason: ErrorReason,
  requestId: string,
): OutgoingDetail[] {
  const { metadata = {}, violations = [], nodes = [], retryAfterMs } = error?.details ?? {};
  const info = create(ErrorInfoSchema, {
    reason,
    domain: "comfyrpc",
    metadata: { ...metadata, request_id: requestId },
  });
  const details: OutgoingDetail[] = [{ desc: ErrorInfoSchema, value: info }];
  if (violations.length > 0) {
    const fieldViolations = violations.map(({ field, description }) => ({ field, description }));
    details.push({ desc: BadRequestSchema, value: create(BadRequestSchema, { fieldViolations }) });
  }
  if (nodes.length > 0) {
    const failures = nodes.map(({ inputName = "", title = "", ...node }) => ({ ...node, inputName, title }));
    details.push({ desc: WorkflowFailureSchema, value: create(WorkflowFailureSchema, { nodes: failures }) });
  }
  if (retryAfterMs !== undefined) {
    const retryDelay = durationFromMs(Math.ceil(retryAfterMs));
    details.push({ desc: RetryInfoSchema, value: create(RetryInfoSchema, { retryDelay }) });
  }
  return details;
}
