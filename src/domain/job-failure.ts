import { type ErrorReason, ServiceError, type ServiceErrorDetails } from "./errors.ts";
import type { JobState } from "./job-state.ts";

/** Why a job did not succeed, as it is kept with the job: what a {@link ServiceError} says, without its cause. */
export interface JobFailure {
  readonly reason: ErrorReason;
  readonly message: string;
  readonly details: ServiceErrorDetails;
}

/** States of a job that has ended without success. */
export type FailedState = Extract<JobState, "failed" | "cancelled" | "expired">;

/** What is kept of `error`. What is no `ServiceError` is a fault of ours; its text may hold anything and is left out. */
export function toJobFailure(error: unknown): JobFailure {
  return error instanceof ServiceError
    ? { reason: error.reason, message: error.message, details: error.details }
    : { reason: "INTERNAL", message: "internal error", details: {} };
}

/** The error that `failure` was made of. */
export function toServiceError({ reason, message, details }: JobFailure): ServiceError {
  return new ServiceError(reason, message, details);
}
