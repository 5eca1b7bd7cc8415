import type { HandlerContext } from "@connectrpc/connect";
import type { GenerationSpec } from "../../../gen/comfyrpc/v1/generation_pb.js";
import { ServiceError } from "../../domain/errors.ts";
import { callSignal } from "../call-signal.ts";

/** The signal of a call that waits for a job; its reason says what becomes of the job. See {@link callSignal}. */
export function waitingCallSignal(
  spec: GenerationSpec,
  { requestId }: { readonly requestId: string },
  context: HandlerContext,
): AbortSignal {
  if (spec.detach) {
    return callSignal(context, "the job goes on, and can be watched by its id");
  }
  return callSignal(
    context,
    requestId === ""
      ? "the work on the backend is being stopped"
      : "the work on the backend is being stopped, unless the request is repeated in a moment",
  );
}

/** What a call fails with that has become a job. */
export function withJobId(jobId: string, error: unknown): unknown {
  return error instanceof ServiceError ? error.with({ metadata: { job_id: jobId } }) : error;
}
