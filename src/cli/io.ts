import type { Readable, Writable } from "node:stream";
import type { ExitCode } from "./exit-code.ts";

/** What a command reads and writes. Commands know no other way in and out: neither `console` nor `process`. */
export interface CliIo {
  /** What `-` in place of a file reads. */
  readonly stdin: Readable;
  /** Results: file names, tables, JSON lines. */
  readonly stdout: Writable;
  /** Everything for people that is not a result: progress, summary, errors. */
  readonly stderr: Writable;
  /** Whether `stderr` is a terminal, so that a bar may be drawn on it. */
  readonly isTty: boolean;
  /** Width of that terminal in characters. Read at each drawing, so a getter follows a resized window. */
  readonly columns: number;
  /** Whether `stdout` is a terminal, where lines are to fit and bytes of images do harm. */
  readonly isStdoutTty: boolean;
}

/** What a command of the program is run with. */
export interface CliContext extends CliIo {
  /** Aborted when the user wants to stop, such as by Ctrl-C. Commands then clean up and end with 130. */
  readonly signal: AbortSignal;
  /** Takes the outcome of the command. Called once, just before the command's promise resolves. */
  setExitCode(code: ExitCode): void;
}
