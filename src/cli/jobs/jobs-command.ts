import { Command } from "commander";
import type { CliContext } from "../io.ts";
import { cancelJobsCommand } from "./cancel-jobs-command.ts";
import { deleteJobsCommand } from "./delete-jobs-command.ts";
import { getJobCommand } from "./get-job-command.ts";
import { listJobsCommand } from "./list-jobs-command.ts";
import { jobProvenanceCommand } from "./provenance-command.ts";
import { watchJobCommand } from "./watch-job-command.ts";

/** `comfyrpc jobs`: looks at jobs, stops them and removes them. */
export function jobsCommand(context: CliContext): Command {
  return new Command("jobs")
    .summary("list, show, watch, cancel and delete jobs")
    .description("Lists jobs, shows and watches one, cancels and deletes some.")
    .addCommand(listJobsCommand(context))
    .addCommand(getJobCommand(context))
    .addCommand(watchJobCommand(context))
    .addCommand(jobProvenanceCommand(context))
    .addCommand(cancelJobsCommand(context))
    .addCommand(deleteJobsCommand(context));
}
