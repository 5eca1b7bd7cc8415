import { status } from "@grpc/grpc-js";
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
  cancelled: 130,
} as const;

export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** The table of exit codes, for help texts. */
export const exitCodeHelp = `Exit codes:
  0    done
  1    the job failed, or a file could not be written
  2    wrong usage, or the service refused an argument
  3    the service, or every backend, is unavailable or not ready
  4    the time was up
  5    no room: the queue is full, out of GPU memory, or too large an answer
  130  cancelled with Ctrl-C
`;

/** The exit code for a command that ended with `error`. */
export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof UsageError) return ExitCode.usage;
  if (!(error instanceof RpcError)) return ExitCode.failed;
  return exitCodeOfStatus[error.code] ?? ExitCode.failed;
}

const exitCodeOfStatus: Partial<Record<status, ExitCode>> = {
  [status.INVALID_ARGUMENT]: ExitCode.usage,
  [status.OUT_OF_RANGE]: ExitCode.usage,
  [status.UNAVAILABLE]: ExitCode.unavailable,
  [status.DEADLINE_EXCEEDED]: ExitCode.deadline,
  [status.RESOURCE_EXHAUSTED]: ExitCode.exhausted,
};
