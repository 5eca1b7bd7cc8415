import type { Clock } from "../../lib/clock.ts";
import type { CliIo } from "../io.ts";
import { lostState, type ProgressState } from "../progress-state.ts";
import { StatusLine } from "../status-line.ts";
import { writeLines } from "../write-lines.ts";

/** Shows people how a batch goes. Disposing leaves the cursor at the start of a free line. */
export interface BatchView extends Disposable {
  /** Shows how it goes now, and writes `lines`, which stay. */
  show(state: ProgressState, lines: readonly string[]): void;
  /** Shows, until the next event, that the service is out of reach and tried again. */
  showLost(state: ProgressState): void;
}

/** A line that is drawn again and again on a terminal, only what stays elsewhere, nothing if `isQuiet`. */
export function createBatchView(io: CliIo, clock: Clock, state: ProgressState, isQuiet: boolean): BatchView {
  if (isQuiet) return silentView;
  return io.isTty ? terminalView(io, clock, state) : linesView(io);
}

function terminalView(io: CliIo, clock: Clock, state: ProgressState): BatchView {
  const line = new StatusLine(io, clock, state);
  return {
    show: (next, lines) => {
      line.set(next);
      if (lines.length > 0) line.print(lines);
    },
    showLost: (last) => line.set(lostState(last)),
    [Symbol.dispose]: () => line[Symbol.dispose](),
  };
}

function linesView(io: CliIo): BatchView {
  return {
    show: (_, lines) => writeLines(io, lines),
    showLost: (last) => writeLines(io, [lostState(last).activity]),
    [Symbol.dispose]: () => {},
  };
}

const silentView: BatchView = {
  show: () => {},
  showLost: () => {},
  [Symbol.dispose]: () => {},
};
