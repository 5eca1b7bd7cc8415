import { Command, Option } from "commander";
import { z } from "zod";
import { createAssetClient } from "../asset-client.ts";
import { addConnectionOptions, openConnection } from "../connection-options.ts";
import { type ExitCode, jobExitCodeHelp } from "../exit-code.ts";
import { finishCommand } from "../finish-command.ts";
import type { CliContext } from "../io.ts";
import { createJobClient } from "../job-client.ts";
import { parseSequence } from "../option-values.ts";
import { outOption, overwriteOption, SavingFlags, toSaving } from "../saving-options.ts";
import { runWatch } from "./run-watch.ts";

/** `comfyrpc jobs watch`: shows how a job goes, until it ends. */
export function watchJobCommand(context: CliContext): Command {
  const command = new Command("watch")
    .summary("show how a job goes, and save its images")
    .description(
      "Shows how a job goes until it ends, and goes on by itself after the connection was lost. Prints the names of " +
        "the files with --out, else the ids of the images. Ctrl-C stops watching, not the job.",
    )
    .argument("<id>", "id of the job")
    .addOption(outOption())
    .addOption(overwriteOption())
    .option("--preview <dir>", "save previews, if the job makes some")
    .addOption(
      new Option("--after <sequence>", "leave out the events up to this number").argParser(parseSequence),
    )
    .option("--json", "write each event as a line of JSON")
    .option("-q, --quiet", "write nothing but file names, ids and errors")
    .action((jobId: string) => finishCommand(context, () => watch(jobId, command, context)));
  return addConnectionOptions(command).addHelpText("after", `\n${examples}\n${jobExitCodeHelp}`);
}

async function watch(jobId: string, command: Command, context: CliContext): Promise<ExitCode> {
  const flags = WatchFlags.parse(command.opts());
  const saving = toSaving(flags);
  const { channel, serverName } = await openConnection(command);
  using _ = channel;
  const clients = { jobs: createJobClient(channel), assets: createAssetClient(channel) };
  const { after: afterSequence, preview: previewDirectory, json, quiet } = flags;
  return await runWatch(
    clients,
    {
      jobId,
      afterSequence,
      json,
      quiet,
      serverName,
      ...(saving ? { saving } : {}),
      ...(previewDirectory === undefined ? {} : { previewDirectory }),
    },
    context,
  );
}

const WatchFlags = z.object({
  ...SavingFlags.shape,
  preview: z.string().optional(),
  after: z.bigint().default(0n),
  json: z.boolean().default(false),
  quiet: z.boolean().default(false),
});

const examples = `Examples:
  $ comfyrpc jobs watch 0b5c7a30-58a5-4d1b-b0a8-2f3c1c6d9e41
  $ comfyrpc jobs watch 0b5c7a30-… --out fox.png
  $ comfyrpc jobs watch 0b5c7a30-… --json --after 7 | jq .sequence
`;
