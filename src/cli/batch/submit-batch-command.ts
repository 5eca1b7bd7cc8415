import type { Readable } from "node:stream";
import { Command, type Option } from "commander";
import { z } from "zod";
import { type Batch, BatchSchema } from "../../../gen/comfyrpc/v1/batch_pb.js";
import { createAssetClient } from "../asset-client.ts";
import { addConnectionOptions, openConnection } from "../connection-options.ts";
import { DeliveryError } from "../delivery-error.ts";
import { jsonLine } from "../event-json.ts";
import { ExitCode, jobExitCodeHelp } from "../exit-code.ts";
import { finishCommand } from "../finish-command.ts";
import type { CliContext } from "../io.ts";
import { createJobClient } from "../job-client.ts";
import { toJobRequest } from "../job-options.ts";
import { plainText } from "../plain-text.ts";
import { reportFailures } from "../report-failures.ts";
import { outDirectoryOption } from "../saving-options.ts";
import { addSubmissionOptions, SubmissionFlags } from "../submission-options.ts";
import { UsageError } from "../usage-error.ts";
import { type BatchSource, toGrid } from "./batch-source.ts";
import { toDirectory } from "./directory-target.ts";
import { GridFlags, gridOptions } from "./grid-options.ts";
import { runBatchWatch } from "./run-batch-watch.ts";
import { readSpecs } from "./specs-file.ts";

/** `comfyrpc batch submit`: makes several jobs at once. */
export function submitBatchCommand(context: CliContext): Command {
  const command = new Command("submit")
    .summary("make several jobs at once")
    .description(
      "Makes a job for each combination of the prompts with the values of the options that take several, and prints " +
        "the id of the batch and then those of the jobs. All of them are made, or none.",
    )
    .argument("[prompts...]", "what the pictures should show")
    .option("--specs <file>", "make a job for each spec of a JSON array instead; - reads standard input")
    .action((prompts: string[]) => finishCommand(context, () => submitBatch(prompts, command, context)));
  addSubmissionOptions(command, {
    grid: gridOptions(),
    watch: "go on as `batch watch` does",
    out: outDirectoryOption(),
    json: "write the batch, and with --watch each event, as a line of JSON",
  });
  return addConnectionOptions(command).addHelpText("after", `\n${examples}\n${jobExitCodeHelp}`);
}

async function submitBatch(
  prompts: readonly string[],
  command: Command,
  context: CliContext,
): Promise<ExitCode> {
  const flags = BatchFlags.parse(command.opts());
  const saving = toDirectory(flags);
  const source = await readSource(prompts, command, flags, context.stdin);
  const { json, quiet } = flags;
  const { channel, serverName } = await openConnection(command);
  using _ = channel;
  const clients = { jobs: createJobClient(channel), assets: createAssetClient(channel) };
  let batchId = "";
  const failure = { serverName, json, stoppedLines: () => stoppedLines };
  const exitCode = await reportFailures(context, failure, async () => {
    const { batch } = await clients.jobs.submitBatch({ source, ...toJobRequest(flags) }, context.signal);
    if (!batch) throw new DeliveryError("the service said nothing about the batch");
    batchId = batch.batchId;
    context.stdout.write(json ? jsonLine(BatchSchema, batch) : idLines(batch));
    return ExitCode.ok;
  });
  if (exitCode !== ExitCode.ok || !flags.watch) return exitCode;
  const options = { batchId, json, quiet, serverName, ...(saving ? { saving } : {}) };
  return await runBatchWatch(clients, options, context);
}

const BatchFlags = z.object({
  ...SubmissionFlags.omit({ steps: true }).shape,
  ...GridFlags.shape,
  specs: z.string().optional(),
});

type BatchFlags = z.infer<typeof BatchFlags>;

async function readSource(
  prompts: readonly string[],
  command: Command,
  flags: BatchFlags,
  stdin: Readable,
): Promise<BatchSource> {
  if (flags.specs === undefined) {
    if (prompts.length === 0) throw new UsageError("give prompts, or specs with --specs");
    const { steps, ...rest } = flags;
    return await toGrid(prompts, rest, flags);
  }
  if (prompts.length > 0) throw new UsageError("--specs holds the prompts; leave the others out");
  const other = command.options.find((option) => isOfSpec(option) && isGiven(option.attributeName()));
  if (other) throw new UsageError(`--specs says all that ${other.long} does; leave that out`);
  return { case: "specs", value: { specs: await readSpecs(flags.specs, stdin) } };

  function isGiven(name: string): boolean {
    return command.getOptionValueSource(name) === "cli";
  }
}

/** Whether `option` says what a spec says. */
function isOfSpec(option: Option): boolean {
  return (
    ["Picture:", "Several values:", "Modes:", "Previews:", "Output:"].includes(
      option.helpGroupHeading ?? "",
    ) || option.long === "--reuse"
  );
}

function idLines({ batchId, jobs }: Batch): string {
  return [batchId, ...jobs.map(({ jobId }) => jobId)].map((id) => `${plainText(id)}\n`).join("");
}

const stoppedLines = ["stopped; the jobs may have been made all the same, see `comfyrpc jobs list`"];

const examples = `Examples:
  $ comfyrpc batch "a red fox" "a blue bird" --seeds 1-4
  $ comfyrpc batch "a red fox" --steps 10,20,40 --cfgs 5,7.5 --out foxes
  $ comfyrpc batch --specs specs.json --watch
  $ echo '[{"prompt": "a fox", "seed": "42"}]' | comfyrpc batch --specs -
`;
