import type { JobEvent } from "../../../gen/comfyrpc/v1/job_event_pb.js";
import type { JobClient } from "../job-client.ts";
import { endedEarly, type ResumePolicy, resumed } from "../resumed.ts";
import { outcomeOfEvent } from "./job-outcome.ts";

/**
 * Yields the events of a job after number `afterSequence`, and ends with its last. Goes on by itself after the
 * connection was lost, without missing or repeating a lasting event. Aborting `signal` leaves the job alone.
 *
 * @throws RpcError if the service refuses, such as `NOT_FOUND`, and `CANCELLED` when aborted
 */
export function watchJob(
  client: JobClient,
  { jobId, afterSequence }: { readonly jobId: string; readonly afterSequence: bigint },
  policy: ResumePolicy,
  signal: AbortSignal,
): AsyncGenerator<JobEvent, void, undefined> {
  let last = afterSequence;
  async function* open(): AsyncGenerator<JobEvent, void, undefined> {
    for await (const { event } of client.watchJob({ jobId, afterSequence: last }, signal)) {
      if (!event) continue;
      last = event.sequence;
      yield event;
      if (outcomeOfEvent(event)) return;
    }
    throw endedEarly();
  }
  return resumed(open, policy, signal);
}
