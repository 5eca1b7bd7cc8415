import { ServiceError } from "../../domain/errors.ts";
import { NoAnswerError } from "./client.ts";

/** How a run ends if neither well nor by what the backend says: each makes the error that tells. */

export function cancelled(): ServiceError {
  return new ServiceError("CANCELLED_BY_CALLER", "the workflow was cancelled");
}

export function promptLeft(): ServiceError {
  return new ServiceError("PROMPT_LEFT", "the workflow was left to another process");
}

export function promptInterrupted(): ServiceError {
  return new ServiceError("PROMPT_INTERRUPTED", "the workflow was stopped on the backend by somebody else");
}

export function promptForgotten(): ServiceError {
  return new ServiceError("PROMPT_LOST", "the backend has forgotten the workflow, as after a restart");
}

export function promptNotFound(): ServiceError {
  return new ServiceError("PROMPT_LOST", "the workflow to go on with is not on the backend");
}

export function notQueued(): ServiceError {
  return new ServiceError("NO_BACKEND", "the backend does not queue the workflow; try again later", {
    retryAfterMs: 2_000,
  });
}

export function idsNotKept(): ServiceError {
  return new ServiceError(
    "BACKEND_PROTOCOL",
    "the backend does not keep the ids of prompts; it needs ComfyUI 0.3.45 or later",
  );
}

export function stalled(): ServiceError {
  return new ServiceError("BACKEND_STALLED", "the backend shows no sign of work on the workflow");
}

/** Something that answers, but not as ComfyUI does, is no lost backend: it is another server. */
export function backendLost(cause: unknown): ServiceError {
  const status = cause instanceof NoAnswerError ? cause.status : undefined;
  return status === undefined || status >= 500
    ? new ServiceError("BACKEND_LOST", "the backend is out of reach", { retryAfterMs: 10_000 }, { cause })
    : new ServiceError("BACKEND_PROTOCOL", `the backend answers with HTTP ${status}`, {}, { cause });
}
