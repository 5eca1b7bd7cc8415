import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { DryRunSchema } from "../../../gen/comfyrpc/v1/dry_run_pb.js";
import type { GenerationSpec } from "../../domain/generation.ts";
import type { JobService } from "../../jobs/job-service.ts";
import { callSignal } from "../call-signal.ts";
import { callerOf } from "../caller-of.ts";
import { toDryRunInit } from "../convert/dry-run.ts";
import { type SubmittingRequest, submitOptionsOf } from "../submit-options-of.ts";

/**
 * What a call that makes a job answers with instead if its request says `validate_only`.
 *
 * @throws ServiceError what the call would fail with
 */
export async function validated(
  { jobs }: { readonly jobs: Pick<JobService, "validate"> },
  spec: GenerationSpec,
  request: SubmittingRequest,
  context: HandlerContext,
): Promise<{ readonly dryRun: MessageInitShape<typeof DryRunSchema> }> {
  const options = submitOptionsOf(request, context);
  const [dryRun] = await jobs.validate(
    [spec],
    options,
    callerOf(context),
    { isBatch: false },
    callSignal(context),
  );
  if (dryRun === undefined) {
    throw new Error("the dry run of a spec is missing");
  }
  return { dryRun: toDryRunInit(dryRun) };
}
