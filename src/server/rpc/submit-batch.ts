import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type SubmitBatchRequest,
  type SubmitBatchResponse,
  SubmitBatchResponseSchema,
} from "../../../gen/comfyrpc/v1/job_service_pb.js";
import { ServiceError } from "../../domain/errors.ts";
import type { GenerationSpec } from "../../domain/generation.ts";
import type { JobService } from "../../jobs/job-service.ts";
import { callSignal } from "../call-signal.ts";
import { callerOf } from "../caller-of.ts";
import { toDryRunInit } from "../convert/dry-run.ts";
import { toBatchMessage } from "../convert/job.ts";
import { fromSpecMessage } from "../convert/spec.ts";
import { type BatchEntry, expandBatch } from "../expand-batch.ts";
import { createMessageRules } from "../message-rules.ts";
import { submitOptionsOf } from "../submit-options-of.ts";

/** `JobService.SubmitBatch`. */
export function submitBatch({
  jobs,
}: {
  readonly jobs: Pick<JobService, "submitBatch" | "batchLimit" | "validate">;
}) {
  const rules = createMessageRules();
  return async (request: SubmitBatchRequest, context: HandlerContext): Promise<SubmitBatchResponse> => {
    const entries = expandBatch(request, jobs.batchLimit, rules);
    const specs = entries.map(readSpec);
    const options = submitOptionsOf(request, context);
    try {
      if (request.validateOnly) {
        const caller = callerOf(context);
        const dryRuns = await jobs.validate(specs, options, caller, { isBatch: true }, callSignal(context));
        return create(SubmitBatchResponseSchema, { dryRuns: dryRuns.map(toDryRunInit) });
      }
      const batch = await jobs.submitBatch(specs, options, callerOf(context), callSignal(context));
      return create(SubmitBatchResponseSchema, { batch: toBatchMessage(batch) });
    } catch (error) {
      throw error instanceof ServiceError ? inRequest(error, entries) : error;
    }
  };
}

function readSpec({ spec, pathOf }: BatchEntry): GenerationSpec {
  try {
    return fromSpecMessage(spec);
  } catch (error) {
    throw error instanceof ServiceError
      ? placed(error, (text) => text.replace(/^spec\.([\w.[\]]+)/, (_, field: string) => pathOf(field)))
      : error;
  }
}

/** The same error, with fields as the caller wrote them: for the job service they are below `specs[i]`. */
function inRequest(error: ServiceError, entries: readonly BatchEntry[]): ServiceError {
  return placed(error, (text) =>
    text.replace(/^specs\[(\d+)\]\.([\w.[\]]+)/, (path, index: string, field: string) => {
      return entries[Number(index)]?.pathOf(field) ?? path;
    }),
  );
}

/** The same error, each field at the beginning of a text replaced by `place`. */
function placed(error: ServiceError, place: (text: string) => string): ServiceError {
  const { violations } = error.details;
  return violations === undefined
    ? error
    : new ServiceError(
        error.reason,
        place(error.message),
        {
          ...error.details,
          violations: violations.map(({ field, description }) => ({ field: place(field), description })),
        },
        { cause: error },
      );
}
