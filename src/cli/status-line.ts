import { Writable } from "node:stream";
import cliProgress, { type Options } from "cli-progress";
import type { Clock } from "../lib/clock.ts";
import { barWidth, formatProgress } from "./format-progress.ts";
import type { CliIo } from "./io.ts";
import type { ProgressState } from "./progress-state.ts";
import { writeLines } from "./write-lines.ts";

/**
 * One line of a terminal that is drawn again ten times a second, so that the time goes on between events. Disposing
 * clears it and leaves the cursor at its start.
 */
export class StatusLine implements Disposable {
  readonly #io: CliIo;
  readonly #clock: Clock;
  readonly #startMs: number;
  readonly #bar: cliProgress.SingleBar;
  #state: ProgressState;

  constructor(io: CliIo, clock: Clock, state: ProgressState) {
    this.#io = io;
    this.#clock = clock;
    this.#startMs = clock.monotonicMs();
    this.#state = state;
    this.#bar = new cliProgress.SingleBar({
      stream: new TerminalStream(io),
      format: (options) => this.#format(options),
      barsize: 30,
      barCompleteChar: "█",
      barIncompleteChar: "░",
      clearOnComplete: true,
      // Lines are kept short enough here, so the terminal need not be told, nor be left in a state of its own.
      linewrap: null,
    });
    this.#bar.start(1, 0);
  }

  set(state: ProgressState): void {
    this.#state = state;
    this.#bar.update(state.fraction);
  }

  /** Writes `lines` above the line, where they stay. */
  print(lines: readonly string[]): void {
    this.#bar.stop();
    writeLines(this.#io, lines);
    this.#bar.start(1, 0);
  }

  [Symbol.dispose](): void {
    this.#bar.stop();
  }

  #format(options: Options): string {
    const { columns } = this.#io;
    const bar = cliProgress.Format.BarFormat(this.#state.fraction, {
      ...options,
      barsize: barWidth(columns),
    });
    return formatProgress(this.#state, bar, columns, this.#startMs, this.#clock.monotonicMs());
  }
}

/** Makes cli-progress see the terminal that the program was told of. */
class TerminalStream extends Writable {
  readonly isTTY = true;
  readonly #io: CliIo;

  constructor(io: CliIo) {
    super({ decodeStrings: false });
    this.#io = io;
  }

  get columns(): number {
    return this.#io.columns;
  }

  override _write(chunk: unknown, _encoding: string, done: () => void): void {
    // Not waiting keeps what is written here in order with what others write to the same stream.
    this.#io.stderr.write(chunk);
    done();
  }
}
