import { Command } from "commander";
import { z } from "zod";
import type { JobProvenance } from "../../../gen/comfyrpc/v1/provenance_pb.js";
import { createAssetClient } from "../asset-client.ts";
import { addConnectionOptions, openConnection } from "../connection-options.ts";
import { DeliveryError } from "../delivery-error.ts";
import { ExitCode } from "../exit-code.ts";
import { finishCommand } from "../finish-command.ts";
import type { CliContext } from "../io.ts";
import { createJobClient } from "../job-client.ts";
import { runWatch, type WatchClients } from "../jobs/run-watch.ts";
import { lostNotice } from "../lost-notice.ts";
import { plainText } from "../plain-text.ts";
import { reportFailures } from "../report-failures.ts";
import { outOption, overwriteOption, SavingFlags, toSaving } from "../saving-options.ts";
import { compareImages, type Likeness } from "./compare-images.ts";
import { type Replay, submitReplay } from "./submit-replay.ts";

/** `comfyrpc replay`: does again what a job did, and compares. */
export function replayCommand(context: CliContext): Command {
  const command = new Command("replay")
    .summary("do again what a job did, and compare")
    .description(
      "Runs the same graph as an earlier job in a new one, and says of each image whether it is the same as the first.",
    )
    .argument("<id>", "id of the job")
    .addOption(outOption())
    .addOption(overwriteOption())
    .option("--json", "write events, and then the comparison, as lines of JSON")
    .option("-q, --quiet", "write nothing but ids, file names, the comparison and errors")
    .action((jobId: string) => finishCommand(context, () => replay(jobId, command, context)));
  return addConnectionOptions(command).addHelpText("after", `\n${examples}\n${replayExitCodeHelp}`);
}

async function replay(jobId: string, command: Command, context: CliContext): Promise<ExitCode> {
  const flags = ReplayFlags.parse(command.opts());
  const { json, quiet } = flags;
  const saving = toSaving(flags);
  const { channel, serverName } = await openConnection(command);
  using _ = channel;
  const clients = { jobs: createJobClient(channel), assets: createAssetClient(channel) };
  let first: JobProvenance | undefined;
  let again: Replay | undefined;
  const submitted = await reportFailures(context, { serverName, json }, async () => {
    first = (await clients.jobs.getJobProvenance({ jobId }, context.signal)).provenance;
    if (!first) throw new DeliveryError("the service said nothing about the job");
    again = await submitReplay(clients.jobs, first, context.signal);
    return ExitCode.ok;
  });
  if (!first || !again) return submitted;
  const watched = await runWatch(
    clients,
    { jobId: again.jobId, afterSequence: 0n, json, quiet, serverName, ...(saving ? { saving } : {}) },
    context,
  );
  if (watched !== ExitCode.ok) return watched;
  return await compare(first, again, { clients, serverName, json }, context);
}

interface Comparing {
  readonly clients: WatchClients;
  readonly serverName: string;
  readonly json: boolean;
}

async function compare(
  first: JobProvenance,
  { jobId, isSameGraph }: Replay,
  { clients, serverName, json }: Comparing,
  context: CliContext,
): Promise<ExitCode> {
  const { stdout, signal } = context;
  return await reportFailures(context, { serverName, json }, async () => {
    const { provenance } = await clients.jobs.getJobProvenance({ jobId }, signal);
    const policy = { onLost: lostNotice(context) };
    const images = await compareImages(
      clients.assets,
      first.images,
      provenance?.images ?? [],
      policy,
      signal,
    );
    if (json) stdout.write(`${JSON.stringify({ jobId, isSameGraph, images })}\n`);
    else for (const line of comparisonLines(jobId, isSameGraph, images)) stdout.write(`${line}\n`);
    return images.every(({ same }) => same !== "nothing") ? ExitCode.ok : ExitCode.failed;
  });
}

function comparisonLines(jobId: string, isSameGraph: boolean, images: readonly Likeness[]): string[] {
  return [
    `${plainText(jobId)}: ${isSameGraph ? "the same graph" : "another graph"}`,
    ...images.map((image) => `image ${image.index + 1}: ${likenessText(image)}`),
  ];
}

function likenessText(image: Likeness): string {
  switch (image.same) {
    case "bytes":
      return "byte for byte the same";
    case "pixels":
      return "the same in every pixel";
    case "nothing":
      return image.meanDifference === undefined
        ? "missing, or of another size"
        : `another; pixels differ by ${image.meanDifference.toFixed(2)} of 255 on average`;
  }
}

const ReplayFlags = z.object({
  ...SavingFlags.shape,
  json: z.boolean().default(false),
  quiet: z.boolean().default(false),
});

const examples = `Examples:
  $ comfyrpc replay 0b5c7a30-58a5-4d1b-b0a8-2f3c1c6d9e41
  $ comfyrpc replay 0b5c7a30-… --out again.png
`;

const replayExitCodeHelp = `Exit codes:
  0    done, and every image is the same, byte for byte or pixel by pixel
  1    an image is another, or the job failed, or a file could not be written
  2    wrong usage, or the service refused an argument
  3    the service is unavailable
  6    there is no such job, or no longer
  7    the job was cancelled
  130  stopped with Ctrl-C, which leaves the job alone
`;
