import { z } from "zod";
import { waitUntil } from "./wait-until.ts";

/** How many of the newest hundred jobs of a service are in each state that is not an end. */
export interface ActiveJobs {
  readonly queued: number;
  readonly running: number;
  readonly cancelling: number;
}

const answer = z.object({ jobs: z.array(z.object({ state: z.string() })).default([]) });

/** Asks a service for its jobs as they are now; what `Health` says of them is some seconds old. */
export async function countJobs(url: string): Promise<ActiveJobs> {
  const response = await fetch(`${url}/comfyrpc.v1.JobService/ListJobs`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ pageSize: 100 }),
    signal: AbortSignal.timeout(10_000),
  });
  const { jobs } = answer.parse(await response.json());
  const count = (state: string) => jobs.filter((job) => job.state === `JOB_STATE_${state}`).length;
  return { queued: count("QUEUED"), running: count("RUNNING"), cancelling: count("CANCELLING") };
}

/** Waits until so many jobs of a service are in each state. */
export async function untilJobs(
  url: string,
  { queued = 0, running = 0, cancelling = 0 }: Partial<ActiveJobs>,
): Promise<void> {
  await waitUntil(async () => {
    const counts = await countJobs(url);
    return counts.queued === queued && counts.running === running && counts.cancelling === cancelling;
  }, `${queued} jobs are queued, ${running} run, ${cancelling} are being cancelled`);
}
