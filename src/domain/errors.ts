/**
 * Why something failed, as callers see it. The values are those of `ErrorReason` in the public API, where each is
 * documented, without their prefix. A few more never reach a caller: `PROMPT_LOST` and `PROMPT_INTERRUPTED` are
 * retried, and reported as `BACKEND_LOST` when no attempt is left; with `PROMPT_LEFT` another process goes on.
 */
export type ErrorReason =
  | "INVALID_FIELD"
  | "MODEL_NOT_FOUND"
  | "LORA_NOT_FOUND"
  | "VAE_NOT_FOUND"
  | "SAMPLER_NOT_FOUND"
  | "SCHEDULER_NOT_FOUND"
  | "WORKFLOW_REJECTED"
  | "NODE_FAILED"
  | "OUT_OF_MEMORY"
  | "NO_OUTPUT"
  | "OUTPUT_TOO_LARGE"
  | "NO_BACKEND"
  | "BACKEND_LOST"
  | "BACKEND_STALLED"
  | "BACKEND_PROTOCOL"
  | "PROMPT_LOST"
  | "PROMPT_INTERRUPTED"
  | "LEASE_LOST"
  | "PROMPT_LEFT"
  | "QUEUE_FULL"
  | "RESPONSE_TOO_LARGE"
  | "JOB_TIMEOUT"
  | "CANCELLED_BY_CALLER"
  | "CANCELLED_BY_REQUEST"
  | "SHUTTING_DOWN"
  | "STORE_UNAVAILABLE"
  | "REQUEST_ID_REUSED"
  | "JOB_NOT_FOUND"
  | "BATCH_NOT_FOUND"
  | "ASSET_NOT_FOUND"
  | "JOB_ACTIVE"
  | "OFFSET_OUT_OF_RANGE"
  | "ASSET_REJECTED"
  | "ASSET_TOO_LARGE"
  | "INPUT_REJECTED"
  | "INPUT_UNREACHABLE"
  | "WORKFLOW_INVALID"
  | "NODE_NOT_ALLOWED"
  | "TEMPLATE_NOT_FOUND"
  | "NODE_CLASS_NOT_FOUND"
  | "TEMPLATE_IN_USE"
  | "INTERNAL";

/** A field of a request that is wrong. */
export interface FieldViolation {
  /** Path of the field in the request, in the spelling of the `.proto`: `spec.loras[1].name`. */
  readonly field: string;
  /** What is wrong with it and what would be right, for people. */
  readonly description: string;
  /** The model file that no backend has, if that is the matter. Not told to callers but in a dry run. */
  readonly unknownModel?: string;
}

/** What went wrong with one node of a workflow graph. */
export interface NodeFailure {
  readonly nodeId: string;
  readonly classType: string;
  /** Title of the node in the graph, if it is known there. */
  readonly title?: string;
  /** The engine's error type (`value_not_in_list`) or class of exception (`torch.OutOfMemoryError`). */
  readonly errorType: string;
  /** Name of the input that is wrong, if the failure is about one. */
  readonly inputName?: string;
  /** What the engine says about it; free of host paths and stack traces. */
  readonly message: string;
}

/** What a {@link ServiceError} carries beside its text. */
export interface ServiceErrorDetails {
  /** Facts for programs, such as `{ name, nearest }`. Never a host, a path, or a prompt. */
  readonly metadata?: Readonly<Record<string, string>>;
  readonly violations?: readonly FieldViolation[];
  readonly nodes?: readonly NodeFailure[];
  /** When trying again makes sense, in milliseconds from now. */
  readonly retryAfterMs?: number;
}

/**
 * A failure that we understand. Its text reaches the caller: it says what to do, and holds no host, path, prompt or
 * stack. Only `server/` knows which RPC status each reason becomes.
 */
export class ServiceError extends Error {
  override readonly name = "ServiceError";
  readonly reason: ErrorReason;
  readonly details: ServiceErrorDetails;

  constructor(
    reason: ErrorReason,
    message: string,
    details: ServiceErrorDetails = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.reason = reason;
    this.details = details;
  }

  /** The same failure with more details. Metadata is added to; other details are replaced. */
  with(details: ServiceErrorDetails): ServiceError {
    const metadata = { ...this.details.metadata, ...details.metadata };
    return new ServiceError(
      this.reason,
      this.message,
      { ...this.details, ...details, metadata },
      { cause: this },
    );
  }
}

/** Whether `error` is a {@link ServiceError} with one of `reasons`. */
export function isServiceError(error: unknown, ...reasons: readonly ErrorReason[]): error is ServiceError {
  return error instanceof ServiceError && (reasons.length === 0 || reasons.includes(error.reason));
}
