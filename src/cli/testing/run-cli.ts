import { clientCommands } from "../client-commands.ts";
import type { ExitCode } from "../exit-code.ts";
import { runProgram } from "../program.ts";
import { type CapturedIo, captureIo } from "./capture-io.ts";

/** What a command line came to. */
export interface CliOutcome {
  readonly exitCode: ExitCode;
  readonly out: string;
  readonly err: string;
}

/** How to run a command line in a test. */
export interface RunCliOptions {
  readonly io?: CapturedIo;
  readonly signal?: AbortSignal;
}

/** Runs `comfyrpc` with `args` in this process. */
export async function runCli(args: readonly string[], options: RunCliOptions = {}): Promise<CliOutcome> {
  const { io = captureIo(), signal = new AbortController().signal } = options;
  const exitCode = await runProgram(
    args,
    {
      stdin: io.stdin,
      stdout: io.stdout,
      stderr: io.stderr,
      isTty: io.isTty,
      isStdoutTty: io.isStdoutTty,
      columns: io.columns,
      signal,
    },
    (context) => ({ version: "1.2.3", commands: clientCommands(context) }),
  );
  return { exitCode, out: io.out(), err: io.err() };
}
