import { Command } from "commander";
import { z } from "zod";
import { CancelJobResponseSchema } from "../../../gen/comfyrpc/v1/job_service_pb.js";
import { JobState } from "../../../gen/comfyrpc/v1/job_state_pb.js";
import { addConnectionOptions, openConnection } from "../connection-options.ts";
import { jsonLine } from "../event-json.ts";
import { callExitCodeHelp, type ExitCode } from "../exit-code.ts";
import { finishCommand } from "../finish-command.ts";
import type { CliContext } from "../io.ts";
import { createJobClient } from "../job-client.ts";
import { cancelLine } from "./cancel-line.ts";
import { forEachId } from "./for-each-id.ts";

/** `comfyrpc jobs cancel`: asks for jobs to stop. */
export function cancelJobsCommand(context: CliContext): Command {
  const command = new Command("cancel")
    .summary("cancel jobs")
    .description(
      "Asks for jobs to stop, and says in which state each was found. A queued one ends at once; one that runs is " +
        "cancelling until its backend has stopped; one that has ended stays as it is.",
    )
    .argument("<id...>", "ids of the jobs")
    .option("--json", "write each answer as a line of JSON")
    .action((ids: string[]) => finishCommand(context, () => cancelJobs(ids, command, context)));
  return addConnectionOptions(command).addHelpText("after", `\n${callExitCodeHelp}`);
}

async function cancelJobs(ids: readonly string[], command: Command, context: CliContext): Promise<ExitCode> {
  const { json } = CancelFlags.parse(command.opts());
  const { channel, serverName } = await openConnection(command);
  using _ = channel;
  const client = createJobClient(channel);
  return await forEachId(ids, { serverName, json }, context, async (jobId) => {
    const response = await client.cancelJob({ jobId }, context.signal);
    const { job, foundState } = response;
    const line = `${cancelLine(jobId, foundState, job?.state ?? JobState.UNSPECIFIED)}\n`;
    context.stdout.write(json ? jsonLine(CancelJobResponseSchema, response) : line);
  });
}

const CancelFlags = z.object({ json: z.boolean().default(false) });
