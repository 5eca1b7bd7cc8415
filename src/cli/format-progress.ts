import { formatSeconds } from "./format-duration.ts";
import type { ProgressState } from "./progress-state.ts";
import { shorten } from "./shorten.ts";

/** How wide the bar is in a terminal of `columns`; 0 if there is no room for one. */
export function barWidth(columns: number): number {
  return columns < 50 ? 0 : Math.min(30, Math.max(10, columns - 56));
}

/**
 * One line about a job, shorter than `columns`: the bar, the share that is done, the node, its step, the time since
 * `startMs`, and the time that is left as far as known. All times are of one clock.
 *
 * @param bar the bar itself, empty for none
 */
export function formatProgress(
  state: ProgressState,
  bar: string,
  columns: number,
  startMs: number,
  nowMs: number,
): string {
  const head = state.isRunning ? `${bar}${bar && " "}${percent(state.fraction)}  ` : "";
  const tail = [...stepText(state), formatSeconds(nowMs - startMs), ...etaText(state, nowMs)];
  const tailText = tail.join("  ");
  // The last column stays empty: some terminals wrap as soon as it is written to.
  const roomForActivity = columns - 1 - head.length - tailText.length - 2;
  const activity = shorten(state.activity, roomForActivity);
  return shorten(`${head}${activity}${activity && "  "}${tailText}`, columns - 1);
}

function percent(fraction: number): string {
  return `${Math.floor(fraction * 100)}%`.padStart(4);
}

function stepText({ step }: ProgressState): string[] {
  return step ? [`step ${step.done}/${step.total}`] : [];
}

/** Past the expected end nothing is said: the estimate was wrong, and "0s left" would be too. */
function etaText({ expectedEndMs }: ProgressState, nowMs: number): string[] {
  if (expectedEndMs === undefined || expectedEndMs < nowMs) return [];
  return [`ETA ${formatSeconds(expectedEndMs - nowMs)}`];
}
