import { Command } from "commander";
import { z } from "zod";
import { JobSchema } from "../../../gen/comfyrpc/v1/job_pb.js";
import { systemClock } from "../../lib/clock.ts";
import { addConnectionOptions, openConnection } from "../connection-options.ts";
import { DeliveryError } from "../delivery-error.ts";
import { jsonLine } from "../event-json.ts";
import { callExitCodeHelp, ExitCode } from "../exit-code.ts";
import { finishCommand } from "../finish-command.ts";
import type { CliContext } from "../io.ts";
import { createJobClient } from "../job-client.ts";
import { reportFailures } from "../report-failures.ts";
import { jobDetails } from "./job-details.ts";

/** `comfyrpc jobs get`: shows all there is to know of a job. */
export function getJobCommand(context: CliContext): Command {
  const command = new Command("get")
    .summary("show a job")
    .description("Shows what is known of a job, with the ids of its images.")
    .argument("<id>", "id of the job")
    .option("--json", "write it as a line of JSON")
    .action((jobId: string) => finishCommand(context, () => getJob(jobId, command, context)));
  return addConnectionOptions(command).addHelpText("after", `\n${examples}\n${callExitCodeHelp}`);
}

/** `--json` says how the job is shown; how it ended makes no difference to the exit code. */
async function getJob(jobId: string, command: Command, context: CliContext): Promise<ExitCode> {
  const { json } = GetFlags.parse(command.opts());
  const { channel, serverName } = await openConnection(command);
  using _ = channel;
  return await reportFailures(context, { serverName, json }, async () => {
    const { job } = await createJobClient(channel).getJob({ jobId }, context.signal);
    if (!job) throw new DeliveryError("the service said nothing about the job");
    if (json) context.stdout.write(jsonLine(JobSchema, job));
    else for (const line of jobDetails(job, systemClock.now())) context.stdout.write(`${line}\n`);
    return ExitCode.ok;
  });
}

const GetFlags = z.object({ json: z.boolean().default(false) });

const examples = `Examples:
  $ comfyrpc jobs get 0b5c7a30-58a5-4d1b-b0a8-2f3c1c6d9e41
  $ comfyrpc jobs get 0b5c7a30-… --json | jq -r '.images[].assetId'
`;
