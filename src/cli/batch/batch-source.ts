import type { MessageInitShape } from "@bufbuild/protobuf";
import type { SubmitBatchRequestSchema } from "../../../gen/comfyrpc/v1/job_service_pb.js";
import type { SubmissionFlags } from "../submission-options.ts";
import { toSubmittedSpec } from "../submission-options.ts";
import type { GridFlags } from "./grid-options.ts";

/** What a batch draws, as its request says it. */
export type BatchSource = NonNullable<MessageInitShape<typeof SubmitBatchRequestSchema>["source"]>;

/**
 * The grid of `prompts` and the options of a command.
 *
 * @throws UsageError if options contradict each other
 */
export async function toGrid(
  prompts: readonly string[],
  flags: Omit<SubmissionFlags, "steps">,
  { steps, seeds, cfgs, samplers }: GridFlags,
): Promise<BatchSource> {
  const base = await toSubmittedSpec("", flags, undefined);
  return { case: "grid", value: { base, prompts: [...prompts], steps, seeds, cfgs, samplers } };
}
