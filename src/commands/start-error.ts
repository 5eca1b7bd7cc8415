import { StartProblem } from "../app/start-problem.ts";
import { ExitCode } from "../cli/exit-code.ts";
import type { CliIo } from "../cli/io.ts";
import { isSystemError, type SystemError } from "../cli/system-error.ts";
import { writeLines } from "../cli/write-lines.ts";

/** A server cannot start because something that it needs is refused. The text says what to do, in one line. */
export class StartError extends Error {
  override readonly name = "StartError";
}

/**
 * Passes on what is being started.
 *
 * @throws StartError if the operating system or a store is why it fails; other errors, which are faults, as they are
 */
export async function starting<T>(start: Promise<T>): Promise<T> {
  try {
    return await start;
  } catch (error) {
    if (error instanceof StartProblem) {
      throw new StartError(`cannot start: ${error.message}`, { cause: error });
    }
    const cause = systemErrorIn(error);
    throw cause === undefined ? error : new StartError(`cannot start: ${explain(cause)}`, { cause: error });
  }
}

/** Runs a command; a StartError is written to standard error as one line and becomes exit code 1. */
export async function reportStartErrors(io: CliIo, run: () => Promise<ExitCode>): Promise<ExitCode> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof StartError)) {
      throw error;
    }
    writeLines(io, [`error: ${error.message}`]);
    return ExitCode.failed;
  }
}

function systemErrorIn(error: unknown): SystemError | undefined {
  for (let each = error; each instanceof Error; each = each.cause) {
    if (isSystemError(each)) {
      return each;
    }
  }
  return undefined;
}

function explain(error: SystemError): string {
  const advice = adviceOf(error);
  return advice === undefined ? error.message : `${error.message}; ${advice}`;
}

function adviceOf({ syscall, code }: SystemError): string | undefined {
  switch (syscall) {
    case "listen":
      return adviceOfListen[code];
    case "getaddrinfo":
      return "check the host to listen on (--host)";
    case "mkdtemp":
      return "temporary files need a directory that can be written to (TMPDIR)";
    default:
      return undefined;
  }
}

const adviceOfListen: Readonly<Record<string, string>> = {
  EADDRINUSE: "stop what listens there, or take another port (--port; 0 takes a free one)",
  EACCES: "take a port that this user may open, such as one above 1023 (--port)",
  EADDRNOTAVAIL: "take an address of this machine (--host)",
};
