import { Command } from "commander";
import { z } from "zod";
import { createAssetClient } from "../asset-client.ts";
import { addConnectionOptions, openConnection } from "../connection-options.ts";
import { type ExitCode, jobExitCodeHelp } from "../exit-code.ts";
import { finishCommand } from "../finish-command.ts";
import type { CliContext } from "../io.ts";
import { createJobClient } from "../job-client.ts";
import { outDirectoryOption, overwriteOption, SavingFlags } from "../saving-options.ts";
import { toDirectory } from "./directory-target.ts";
import { runBatchWatch } from "./run-batch-watch.ts";

/** `comfyrpc batch watch`: shows how the jobs of a batch end. */
export function watchBatchCommand(context: CliContext): Command {
  const command = new Command("watch")
    .summary("show how the jobs of a batch end, and save their images")
    .description(
      "Shows how the jobs of a batch go until all have ended, and goes on by itself after the connection was lost. " +
        "Prints the names of the files with --out, else the ids of the images. Ctrl-C stops watching, not the jobs.",
    )
    .argument("<id>", "id of the batch")
    .addOption(outDirectoryOption())
    .addOption(overwriteOption())
    .option("--json", "write each event as a line of JSON")
    .option("-q, --quiet", "write nothing but file names, ids and errors")
    .action((batchId: string) => finishCommand(context, () => watch(batchId, command, context)));
  return addConnectionOptions(command).addHelpText("after", `\n${jobExitCodeHelp}`);
}

async function watch(batchId: string, command: Command, context: CliContext): Promise<ExitCode> {
  const flags = WatchFlags.parse(command.opts());
  const saving = toDirectory(flags);
  const { json, quiet } = flags;
  const { channel, serverName } = await openConnection(command);
  using _ = channel;
  const clients = { jobs: createJobClient(channel), assets: createAssetClient(channel) };
  const options = { batchId, json, quiet, serverName, ...(saving ? { saving } : {}) };
  return await runBatchWatch(clients, options, context);
}

const WatchFlags = z.object({
  ...SavingFlags.shape,
  json: z.boolean().default(false),
  quiet: z.boolean().default(false),
});
