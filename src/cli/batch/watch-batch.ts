import type { JobEvent } from "../../../gen/comfyrpc/v1/job_event_pb.js";
import type { JobClient } from "../job-client.ts";
import { outcomeOfEvent } from "../jobs/job-outcome.ts";
import { endedEarly, type ResumePolicy, resumed } from "../resumed.ts";

/** A batch, and those of its jobs whose end is waited for. */
export interface WatchedBatch {
  readonly batchId: string;
  readonly jobIds: readonly string[];
}

/**
 * Yields the events of all jobs of a batch, and ends when each has had its last, or is gone. Goes on by itself after the
 * connection was lost, without missing or repeating a lasting event. Aborting `signal` leaves the jobs alone.
 *
 * @throws RpcError if the service refuses, such as `NOT_FOUND`, and `CANCELLED` when aborted
 */
export function watchBatch(
  client: JobClient,
  { batchId, jobIds }: WatchedBatch,
  policy: ResumePolicy,
  signal: AbortSignal,
): AsyncGenerator<JobEvent, void, undefined> {
  const last = new Map<string, bigint>();
  const waiting = new Set(jobIds);
  async function* open(): AsyncGenerator<JobEvent, void, undefined> {
    const afterSequences = Object.fromEntries(last);
    for await (const { event } of client.watchBatch({ batchId, afterSequences }, signal)) {
      if (!event) continue;
      last.set(event.jobId, event.sequence);
      yield event;
      if (outcomeOfEvent(event)) waiting.delete(event.jobId);
      if (waiting.size === 0) return;
    }
    if (await areGone(waiting)) return;
    throw endedEarly();
  }
  return resumed(open, policy, signal);

  /** A job that somebody deletes meanwhile has no last event. */
  async function areGone(ids: ReadonlySet<string>): Promise<boolean> {
    const { batch } = await client.getBatch({ batchId }, signal);
    return batch?.jobs.every(({ jobId }) => !ids.has(jobId)) ?? false;
  }
}
