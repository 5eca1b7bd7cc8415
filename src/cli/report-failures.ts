import { errorJson, errorLines } from "./describe-error.ts";
import { ExitCode, exitCodeOf } from "./exit-code.ts";
import { isExplained } from "./explained-error.ts";
import type { CliContext } from "./io.ts";
import { writeLines } from "./write-lines.ts";

/** What the failure of a command is reported with. */
export interface FailureOptions {
  /** The service, as it is named to people. */
  readonly serverName: string;
  /** Write the failure as a line of JSON to standard output, too. */
  readonly json: boolean;
  /** What to tell people when they stopped the command with Ctrl-C. */
  readonly stoppedLines?: () => readonly string[];
}

/** What a command knows of its service. */
export interface Contact {
  /** Set by the command when the service has answered: a connection that fails then was lost, not refused. */
  hasAnswered: boolean;
}

/**
 * Runs a command. A failure that can be explained is reported, and becomes the exit code; others are thrown. A failure
 * after an abort is none, but what was asked for.
 */
export async function reportFailures(
  context: CliContext,
  options: FailureOptions,
  run: (contact: Contact) => Promise<ExitCode>,
): Promise<ExitCode> {
  const contact = { hasAnswered: false };
  try {
    return await run(contact);
  } catch (error) {
    if (!isExplained(error)) throw error;
    return reportFailure(context, error, options, contact);
  }
}

/** Reports one failure as {@link reportFailures} does, for commands that go on after it. */
export function reportFailure(
  context: CliContext,
  error: Error,
  { serverName, json, stoppedLines }: FailureOptions,
  contact: Contact,
): ExitCode {
  const isStopped = context.signal.aborted;
  if (json) context.stdout.write(`${JSON.stringify({ error: errorJson(error) })}\n`);
  const lines = isStopped ? (stoppedLines?.() ?? ["stopped"]) : errorLines(error, { serverName, ...contact });
  writeLines(context, lines);
  return isStopped ? ExitCode.cancelled : exitCodeOf(error);
}
