import { type Job, JobSchema } from "../../../gen/comfyrpc/v1/job_pb.js";
import type { JobFilter } from "../../../gen/comfyrpc/v1/job_service_pb.js";
import { type Clock, systemClock } from "../../lib/clock.ts";
import { jsonLine } from "../event-json.ts";
import { ExitCode } from "../exit-code.ts";
import type { CliContext } from "../io.ts";
import type { JobClient } from "../job-client.ts";
import { reportFailures } from "../report-failures.ts";
import { writeLines } from "../write-lines.ts";
import { jobTable } from "./job-table.ts";

/** Which jobs to list, and how. */
export interface ListOptions {
  readonly filter: JobFilter;
  /** Most jobs to list; 0 lists none. */
  readonly limit: number;
  /** Write each job as a line of JSON. */
  readonly json: boolean;
  /** The service, as it is named to people. */
  readonly serverName: string;
}

/** Writes the jobs that fit to standard output, as many pages as it takes, and says if there are more. */
export async function runListJobs(
  client: JobClient,
  options: ListOptions,
  context: CliContext,
  clock: Clock = systemClock,
): Promise<ExitCode> {
  return await reportFailures(context, options, async (contact) => {
    const jobs: Job[] = [];
    let hasMore = options.limit > 0;
    for await (const page of listPages(client, options, context.signal)) {
      contact.hasAnswered = true;
      hasMore = page.hasMore;
      if (options.json) for (const job of page.jobs) context.stdout.write(jsonLine(JobSchema, job));
      else jobs.push(...page.jobs);
    }
    if (options.json) return ExitCode.ok;
    const width = context.isStdoutTty ? context.columns : undefined;
    if (jobs.length > 0) {
      for (const line of jobTable(jobs, clock.now(), width)) context.stdout.write(`${line}\n`);
    }
    if (jobs.length === 0 && options.limit > 0) writeLines(context, ["no such jobs"]);
    if (jobs.length > 0 && hasMore) writeLines(context, ["there are more; raise --limit to see them"]);
    return ExitCode.ok;
  });
}

interface Page {
  readonly jobs: readonly Job[];
  readonly hasMore: boolean;
}

/** Most jobs that the service puts on a page. */
const largestPage = 100;

async function* listPages(
  client: JobClient,
  { filter, limit }: ListOptions,
  signal: AbortSignal,
): AsyncGenerator<Page, void, undefined> {
  let pageToken = "";
  let left = limit;
  while (left > 0) {
    const pageSize = Math.min(largestPage, left);
    const { jobs, nextPageToken } = await client.listJobs({ filter, pageSize, pageToken }, signal);
    // A service may send more than it was asked for.
    const wanted = jobs.slice(0, left);
    left -= wanted.length;
    yield { jobs: wanted, hasMore: nextPageToken !== "" || wanted.length < jobs.length };
    if (nextPageToken === "") return;
    pageToken = nextPageToken;
  }
}
