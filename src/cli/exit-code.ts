import { status } from "@grpc/grpc-js";
import { JobState } from "../../gen/comfyrpc/v1/job_state_pb.js";
import { RpcError } from "./rpc-error.ts";
import { UsageError } from "./usage-error.ts";

/** What the commands end with; see {@link exitCodeHelp} for what each means. */
export const ExitCode = {
  ok: 0,
  failed: 1,
  usage: 2,
  unavailable: 3,
  deadline: 4,
  exhausted: 5,
  notFound: 6,
  jobCancelled: 7,
  cancelled: 130,
} as const;

export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** The table of exit codes, for the help of a command that draws. */
export const exitCodeHelp = `Exit codes:
  0    done
  1    the job failed, or a file could not be written
  2    wrong usage, or the service refused an argument
  3    the service, or every backend, is unavailable or not ready
  4    the time was up
  5    no room: the queue is full, out of GPU memory, or too large an answer
  7    somebody else cancelled the job
  130  cancelled with Ctrl-C
`;

/** The table of exit codes, for the help of a command that watches jobs, or may. */
export const jobExitCodeHelp = `Exit codes:
  0    done
  1    a job failed or expired, or a file could not be written
  2    wrong usage, or the service refused an argument
  3    the service is unavailable
  4    the service did not answer in time
  5    no room: the queue is full
  6    there is no such job, batch or asset, or no longer
  7    the job was cancelled
  130  stopped with Ctrl-C, which leaves jobs alone
`;

/** The table of exit codes, for the help of a command that asks the service for one thing. */
export const callExitCodeHelp = `Exit codes:
  0    done
  1    refused for any other reason, or a file could not be written
  2    wrong usage, or the service refused an argument
  3    the service is unavailable
  4    the service did not answer in time
  5    no room, such as for too large a file
  6    there is no such job, batch or asset, or no longer
  130  stopped with Ctrl-C
`;

/** The exit code for a command that ended with `error`. */
export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof UsageError) return ExitCode.usage;
  if (!(error instanceof RpcError)) return ExitCode.failed;
  if (error.details.reason === "CANCELLED_BY_REQUEST") return ExitCode.jobCancelled;
  return exitCodeOfStatus[error.code] ?? ExitCode.failed;
}

/** The exit code for having watched a job to its end. Why it did not succeed makes no difference, unlike in {@link exitCodeOf}. */
export function exitCodeOfJob(state: JobState): ExitCode {
  if (state === JobState.SUCCEEDED) return ExitCode.ok;
  return state === JobState.CANCELLED ? ExitCode.jobCancelled : ExitCode.failed;
}

const exitCodeOfStatus: Partial<Record<status, ExitCode>> = {
  [status.INVALID_ARGUMENT]: ExitCode.usage,
  [status.OUT_OF_RANGE]: ExitCode.usage,
  [status.NOT_FOUND]: ExitCode.notFound,
  [status.UNAVAILABLE]: ExitCode.unavailable,
  [status.DEADLINE_EXCEEDED]: ExitCode.deadline,
  [status.RESOURCE_EXHAUSTED]: ExitCode.exhausted,
};
