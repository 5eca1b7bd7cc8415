import type { JobState } from "../../../gen/comfyrpc/v1/job_state_pb.js";
import { plainText } from "../plain-text.ts";
import { isEnded, nameOfState } from "./job-states.ts";

/** What became of a request to stop a job, in a line for people: in which state it was, and in which it is. */
export function cancelLine(jobId: string, found: JobState, state: JobState): string {
  const was = nameOfState(found);
  const news = isEnded(found) ? `had ended: ${was}` : `was ${was}, is ${nameOfState(state)}`;
  return `${plainText(jobId)}  ${news}`;
}
