import { Command, CommanderError } from "commander";
import { ExitCode } from "./exit-code.ts";
import type { CliContext, CliIo } from "./io.ts";

/** What a program is made of. */
export interface ProgramOptions {
  readonly version: string;
  /** The commands, in the order in which the help lists them. */
  readonly commands: readonly Command[];
}

/**
 * Runs `comfyrpc` with the arguments of a command line, without node and script in front.
 *
 * @returns what the command handed to `makeContext`'s `setExitCode`; 0 after `--help` and `--version`, 2 for a command
 *   line that cannot be understood. Errors that are faults of the program are thrown.
 */
export async function runProgram(
  args: readonly string[],
  context: CliIo & Pick<CliContext, "signal">,
  makeProgram: (context: CliContext) => ProgramOptions,
): Promise<ExitCode> {
  let exitCode: ExitCode = ExitCode.ok;
  const setExitCode = (code: ExitCode) => {
    exitCode = code;
  };
  const program = createProgram(makeProgram(withExitCode(context, setExitCode)), context);
  try {
    await program.parseAsync(args, { from: "user" });
    return exitCode;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // commander has written what is wrong, or the help that was asked for.
    return error.exitCode === 0 ? ExitCode.ok : ExitCode.usage;
  }
}

function createProgram({ version, commands }: ProgramOptions, io: CliIo): Command {
  const program = new Command("comfyrpc")
    .description("Draws images with ComfyUI over gRPC: runs the service, and talks to it.")
    .version(version, "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand("help [command]", "print the help of a command")
    .showHelpAfterError("(see --help)")
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void io.stdout.write(text),
      writeErr: (text) => void io.stderr.write(text),
      getOutHelpWidth: () => io.columns,
      getErrHelpWidth: () => io.columns,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    });
  for (const command of commands) program.addCommand(inheritSettings(command, program));
  return program;
}

/** commander hands settings on only to subcommands that are made after them. */
function inheritSettings(command: Command, parent: Command): Command {
  command.copyInheritedSettings(parent);
  for (const subcommand of command.commands) inheritSettings(subcommand, command);
  return command;
}

/** Delegates to `io`, whose `columns` may change, and whose `stdin` is not opened before a command wants it. */
function withExitCode(
  io: CliIo & Pick<CliContext, "signal">,
  setExitCode: (code: ExitCode) => void,
): CliContext {
  return {
    get stdin() {
      return io.stdin;
    },
    stdout: io.stdout,
    stderr: io.stderr,
    isTty: io.isTty,
    isStdoutTty: io.isStdoutTty,
    get columns() {
      return io.columns;
    },
    signal: io.signal,
    setExitCode,
  };
}
