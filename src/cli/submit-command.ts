import { Command } from "commander";
import { JobSchema } from "../../gen/comfyrpc/v1/job_pb.js";
import { createAssetClient } from "./asset-client.ts";
import { addConnectionOptions, openConnection } from "./connection-options.ts";
import { DeliveryError } from "./delivery-error.ts";
import { jsonLine } from "./event-json.ts";
import { ExitCode, jobExitCodeHelp } from "./exit-code.ts";
import { finishCommand } from "./finish-command.ts";
import type { CliContext } from "./io.ts";
import { createJobClient } from "./job-client.ts";
import { toJobRequest } from "./job-options.ts";
import { runWatch } from "./jobs/run-watch.ts";
import { plainText } from "./plain-text.ts";
import { reportFailures } from "./report-failures.ts";
import { outOption, toSaving } from "./saving-options.ts";
import { addSubmissionOptions, SubmissionFlags, toSubmittedSpec } from "./submission-options.ts";

/** `comfyrpc submit`: makes a job that goes on by itself. */
export function submitCommand(context: CliContext): Command {
  const command = new Command("submit")
    .summary("make a job that goes on by itself")
    .description(
      "Makes a job and prints its id, without waiting for its images. See `comfyrpc jobs` for what to do with it.",
    )
    .argument("<prompt>", "what the picture should show")
    .action((prompt: string) => finishCommand(context, () => submit(prompt, command, context)));
  addSubmissionOptions(command, {
    watch: "go on as `jobs watch` does",
    out: outOption(),
    json: "write the job, and with --watch each event, as a line of JSON",
  });
  return addConnectionOptions(command).addHelpText("after", `\n${examples}\n${jobExitCodeHelp}`);
}

async function submit(prompt: string, command: Command, context: CliContext): Promise<ExitCode> {
  const flags = SubmissionFlags.parse(command.opts());
  const saving = toSaving(flags);
  const spec = await toSubmittedSpec(prompt, flags, saving?.target);
  const { json, quiet } = flags;
  const { channel, serverName } = await openConnection(command);
  using _ = channel;
  const clients = { jobs: createJobClient(channel), assets: createAssetClient(channel) };
  let jobId = "";
  const failure = { serverName, json, stoppedLines: () => stoppedLines };
  const exitCode = await reportFailures(context, failure, async () => {
    const { job } = await clients.jobs.submitJob({ spec, ...toJobRequest(flags) }, context.signal);
    if (!job) throw new DeliveryError("the service said nothing about the job");
    jobId = job.jobId;
    context.stdout.write(json ? jsonLine(JobSchema, job) : `${plainText(jobId)}\n`);
    return ExitCode.ok;
  });
  if (exitCode !== ExitCode.ok || !flags.watch) return exitCode;
  const options = { jobId, afterSequence: 0n, json, quiet, serverName, ...(saving ? { saving } : {}) };
  return await runWatch(clients, options, context);
}

const stoppedLines = ["stopped; the job may have been made all the same, see `comfyrpc jobs list`"];

const examples = `Examples:
  $ comfyrpc submit "a red fox in the snow" --label team=web
  $ comfyrpc submit "a red fox" --request-id order-42 --retention 7d
  $ comfyrpc submit "a red fox" --out fox.png
`;
