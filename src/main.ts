#!/usr/bin/env node
import { clientCommands } from "./cli/client-commands.ts";
import { runProgram } from "./cli/program.ts";
import { onClosedOutput } from "./commands/closed-output.ts";
import { demoCommand } from "./commands/demo-command.ts";
import { engineCommand } from "./commands/engine-command.ts";
import { serveCommand } from "./commands/serve-command.ts";
import { version } from "./version.ts";

/** The process: arguments and environment in, signals, exit code out. The first signal asks to stop, the second kills. */
const stopping = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    if (stopping.signal.aborted) {
      process.exit(130);
    }
    stopping.abort(new Error(`stopped by ${signal}`));
  });
}
for (const output of [process.stdout, process.stderr]) {
  onClosedOutput(output, () => stopping.abort(new Error("nobody reads the output")));
}

process.exitCode = await runProgram(
  process.argv.slice(2),
  {
    get stdin() {
      return process.stdin;
    },
    stdout: process.stdout,
    stderr: process.stderr,
    isTty: process.stderr.isTTY === true,
    isStdoutTty: process.stdout.isTTY === true,
    get columns() {
      return process.stderr.columns ?? 80;
    },
    signal: stopping.signal,
  },
  (context) => ({
    version,
    commands: [
      ...clientCommands(context),
      serveCommand(context, process.env),
      engineCommand(context),
      demoCommand(context, process.env),
    ],
  }),
);
