import { ExitCode } from "./exit-code.ts";
import type { CliContext } from "./io.ts";
import { UsageError } from "./usage-error.ts";
import { writeLines } from "./write-lines.ts";

/** Runs a command and hands its outcome to `context`. Wrong usage is written to standard error; other errors are thrown. */
export async function finishCommand(context: CliContext, run: () => Promise<ExitCode>): Promise<void> {
  context.setExitCode(await withUsageErrors(context, run));
}

async function withUsageErrors(context: CliContext, run: () => Promise<ExitCode>): Promise<ExitCode> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    writeLines(context, [`error: ${error.message}`]);
    return ExitCode.usage;
  }
}
