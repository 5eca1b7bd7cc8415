import { ProgressBar } from "./progress-bar.ts";
import { ProgressLines } from "./progress-lines.ts";
import type { ProgressView, ProgressViewOptions } from "./progress-view.ts";

/** A bar on a terminal, lines elsewhere, nothing if `isQuiet`. */
export function createProgressView(options: ProgressViewOptions, isQuiet: boolean): ProgressView {
  if (isQuiet) return silentView;
  return options.io.isTty ? new ProgressBar(options) : new ProgressLines(options);
}

const silentView: ProgressView = {
  show: () => {},
  showLost: () => {},
  [Symbol.dispose]: () => {},
};
