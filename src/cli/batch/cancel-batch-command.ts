import { Command } from "commander";
import { z } from "zod";
import { CancelBatchResponseSchema } from "../../../gen/comfyrpc/v1/job_service_pb.js";
import { JobState } from "../../../gen/comfyrpc/v1/job_state_pb.js";
import { addConnectionOptions, openConnection } from "../connection-options.ts";
import { jsonLine } from "../event-json.ts";
import { callExitCodeHelp, ExitCode } from "../exit-code.ts";
import { finishCommand } from "../finish-command.ts";
import type { CliContext } from "../io.ts";
import { createJobClient } from "../job-client.ts";
import { cancelLine } from "../jobs/cancel-line.ts";
import { reportFailures } from "../report-failures.ts";

/** `comfyrpc batch cancel`: asks for every job of a batch to stop. */
export function cancelBatchCommand(context: CliContext): Command {
  const command = new Command("cancel")
    .summary("cancel every job of a batch")
    .description("Asks for every job of a batch to stop, and says in which state each was found.")
    .argument("<id>", "id of the batch")
    .option("--json", "write the answer as a line of JSON")
    .action((batchId: string) => finishCommand(context, () => cancelBatch(batchId, command, context)));
  return addConnectionOptions(command).addHelpText("after", `\n${callExitCodeHelp}`);
}

async function cancelBatch(batchId: string, command: Command, context: CliContext): Promise<ExitCode> {
  const { json } = CancelFlags.parse(command.opts());
  const { channel, serverName } = await openConnection(command);
  using _ = channel;
  return await reportFailures(context, { serverName, json }, async () => {
    const response = await createJobClient(channel).cancelBatch({ batchId }, context.signal);
    const lines = response.batch?.jobs.map(
      ({ jobId, state }, index) =>
        `${cancelLine(jobId, response.foundStates[index] ?? JobState.UNSPECIFIED, state)}\n`,
    );
    context.stdout.write(json ? jsonLine(CancelBatchResponseSchema, response) : (lines ?? []).join(""));
    return ExitCode.ok;
  });
}

const CancelFlags = z.object({ json: z.boolean().default(false) });
