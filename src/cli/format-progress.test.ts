import { describe, expect, it } from "vitest";
import { barWidth, formatProgress } from "./format-progress.ts";
import { initialState, nextState, type ProgressState } from "./progress-state.ts";
import { staged, workEvents } from "./testing/staged-events.ts";

/** The state after `events`, all of which come at 1,000 ms. */
function stateAfter(events: ReturnType<typeof workEvents>): ProgressState {
  return events.reduce(
    (state, { event }) => (event ? nextState(state, event, 1_000) : state),
    initialState("127.0.0.1:8080"),
  );
}

describe("formatProgress", () => {
  const running = stateAfter(workEvents());

  it("shows share, node, step, time and what is left", () => {
    expect(formatProgress(running, "███░░░", 80, 0, 4_000)).toBe(
      "███░░░  47%  KSampler  step 10/20  4s  ETA 6s",
    );
  });

  it("counts down between events, and says nothing once the estimate is over", () => {
    expect(formatProgress(running, "", 80, 0, 9_000)).toContain("ETA 1s");
    expect(formatProgress(running, "", 80, 0, 10_001)).not.toContain("ETA");
  });

  it("never fills the last column", () => {
    for (let columns = 1; columns <= 200; columns++) {
      const line = formatProgress(running, "█".repeat(barWidth(columns)), columns, 0, 4_000);
      expect([...line].length).toBeLessThan(Math.max(columns, 1) + (columns === 1 ? 1 : 0));
    }
  });

  it("shortens the name of the node before anything else", () => {
    const state = { ...running, activity: "A node with a very long title that somebody gave it" };
    const line = formatProgress(state, "█".repeat(24), 80, 0, 4_000);
    expect(line).toMatch(/A node with.*…/);
    expect(line).toContain("step 10/20  4s  ETA 6s");
  });

  it("shows no share before a backend is at work", () => {
    const queued = stateAfter(workEvents().slice(0, 2));
    expect(formatProgress(queued, "░░░", 80, 0, 4_000)).toBe("Queued, 2 jobs ahead  4s");
  });
});

describe("nextState", () => {
  it("forgets the step when the next node starts, and keeps the share", () => {
    const decode = {
      case: "nodeStarted",
      value: { nodeId: "8", classType: "VAEDecode", title: "" },
    } as const;
    const state = stateAfter([...workEvents(), staged(decode)]);
    expect(state).toMatchObject({ activity: "VAEDecode", fraction: 0.47 });
    expect(state.step).toBeUndefined();
  });

  it("starts over when the backend was lost", () => {
    const again = staged({ case: "queued", value: { jobsAhead: 0, attempt: 2 } });
    expect(stateAfter([...workEvents(), again])).toEqual({
      activity: "Queued, next in line (attempt 2: the backend was lost)",
      isRunning: false,
      fraction: 0,
    });
  });

  it("lets no control character of the service reach the terminal", () => {
    const title = "\u001b[2Jgone\n";
    const state = stateAfter([
      staged({ case: "nodeStarted", value: { title, classType: "X", nodeId: "1" } }),
    ]);
    expect(state.activity).toBe("[2Jgone");
  });
});
