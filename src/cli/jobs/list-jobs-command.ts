import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Command, InvalidArgumentError, Option } from "commander";
import { z } from "zod";
import { JobFilterSchema } from "../../../gen/comfyrpc/v1/job_service_pb.js";
import { systemClock } from "../../lib/clock.ts";
import { addConnectionOptions, openConnection } from "../connection-options.ts";
import { callExitCodeHelp, type ExitCode } from "../exit-code.ts";
import { finishCommand } from "../finish-command.ts";
import type { CliContext } from "../io.ts";
import { createJobClient } from "../job-client.ts";
import { labelOption } from "../job-options.ts";
import { repeatable } from "../option-groups.ts";
import { parseWholeNumber } from "../option-values.ts";
import { parseMoment } from "../time-values.ts";
import { type StateName, stateNames, stateOfName } from "./job-states.ts";
import { runListJobs } from "./run-list-jobs.ts";

/** `comfyrpc jobs list`: shows jobs, the newest first. */
export function listJobsCommand(context: CliContext): Command {
  const command = new Command("list")
    .summary("list jobs, the newest first")
    .description("Lists the jobs that fit all of the options, the newest first.")
    .addOption(
      new Option("--state <state>", `${stateNames.join(", ")}; may be given again`).argParser(
        repeatable(parseState),
      ),
    )
    .addOption(labelOption("jobs with this label; may be given again"))
    .addOption(
      new Option("--since <time>", "made since then: a time ago such as 2h, or RFC 3339").argParser(
        parseTime,
      ),
    )
    .addOption(new Option("--until <time>", "made before then").argParser(parseTime))
    .option("--batch <id>", "jobs of this batch")
    .addOption(
      new Option("--template <name>", "jobs that run this template, or name@3 for a version").argParser(
        parseTemplate,
      ),
    )
    .addOption(new Option("--limit <n>", "most jobs to list").argParser(parseWholeNumber).default(50))
    .option("--json", "write each job as a line of JSON")
    .action(() => finishCommand(context, () => listJobs(command, context)));
  return addConnectionOptions(command).addHelpText("after", `\n${examples}\n${callExitCodeHelp}`);
}

async function listJobs(command: Command, context: CliContext): Promise<ExitCode> {
  const flags = ListFlags.parse(command.opts());
  const { channel, serverName } = await openConnection(command);
  using _ = channel;
  const { limit, json } = flags;
  const options = { filter: create(JobFilterSchema, toFilter(flags)), limit, json, serverName };
  return await runListJobs(createJobClient(channel), options, context);
}

const ListFlags = z.object({
  state: z.array(z.enum(stateNames)).default([]),
  label: z.array(z.tuple([z.string(), z.string()])).default([]),
  since: z.date().optional(),
  until: z.date().optional(),
  batch: z.string().default(""),
  template: z.object({ template: z.string(), templateVersion: z.number() }).optional(),
  limit: z.number(),
  json: z.boolean().default(false),
});

function toFilter(flags: z.infer<typeof ListFlags>): MessageInitShape<typeof JobFilterSchema> {
  const { state, label, since, until, batch, template } = flags;
  return {
    states: state.map(stateOfName),
    labels: Object.fromEntries(label),
    batchId: batch,
    ...template,
    ...(since ? { createTimeFrom: timestampFromDate(since) } : {}),
    ...(until ? { createTimeBefore: timestampFromDate(until) } : {}),
  };
}

function parseState(text: string): StateName {
  const name = stateNames.find((candidate) => candidate === text.toLowerCase());
  if (!name) throw new InvalidArgumentError(`Allowed choices are ${stateNames.join(", ")}.`);
  return name;
}

function parseTemplate(text: string): { template: string; templateVersion: number } {
  const [, template, version] = /^([a-z0-9][a-z0-9_-]*)(?:@([1-9]\d{0,8}))?$/.exec(text) ?? [];
  if (template === undefined) {
    throw new InvalidArgumentError(
      "It takes the name of a template, or a name and a version such as poster@3.",
    );
  }
  return { template, templateVersion: Number(version ?? 0) };
}

function parseTime(text: string): Date {
  return parseMoment(text, systemClock.now());
}

const examples = `Examples:
  $ comfyrpc jobs list --state queued --state running
  $ comfyrpc jobs list --label team=web --since 2h
  $ comfyrpc jobs list --template poster@3
  $ comfyrpc jobs list --json --limit 1000 | jq -r .jobId
`;
