import { Command } from "commander";
import { addConnectionOptions, openConnection } from "../connection-options.ts";
import { callExitCodeHelp, type ExitCode } from "../exit-code.ts";
import { finishCommand } from "../finish-command.ts";
import type { CliContext } from "../io.ts";
import { createJobClient } from "../job-client.ts";
import { plainText } from "../plain-text.ts";
import { forEachId } from "./for-each-id.ts";

/** `comfyrpc jobs delete`: removes jobs that have ended. */
export function deleteJobsCommand(context: CliContext): Command {
  const command = new Command("delete")
    .summary("delete jobs that have ended, and their images")
    .description("Deletes jobs that have ended, and their images. One that has not is to be cancelled first.")
    .argument("<id...>", "ids of the jobs")
    .action((ids: string[]) => finishCommand(context, () => deleteJobs(ids, command, context)));
  return addConnectionOptions(command).addHelpText("after", `\n${callExitCodeHelp}`);
}

async function deleteJobs(ids: readonly string[], command: Command, context: CliContext): Promise<ExitCode> {
  const { channel, serverName } = await openConnection(command);
  using _ = channel;
  const client = createJobClient(channel);
  return await forEachId(ids, { serverName, json: false }, context, async (jobId) => {
    await client.deleteJob({ jobId }, context.signal);
    context.stdout.write(`${plainText(jobId)}  deleted\n`);
  });
}
