import { expect, it } from "vitest";
import { ProgressLines } from "./progress-lines.ts";
import { captureIo } from "./testing/capture-io.ts";
import { staged, workEvents } from "./testing/staged-events.ts";

function progressEvent(step: number) {
  return staged({ case: "progress", value: { nodeId: "3", step, steps: 20, fraction: step / 20 } });
}

it("writes a line about the work every five seconds, however many events come", () => {
  const io = captureIo();
  let nowMs = 0;
  const clock = { now: () => new Date(nowMs), monotonicMs: () => nowMs };
  using view = new ProgressLines({ serverName: "127.0.0.1:8080", io, clock });
  for (const { event } of workEvents().slice(0, 4)) if (event) view.show(event);
  for (let step = 1; step <= 20; step++) {
    nowMs += 600;
    const { event } = progressEvent(step);
    if (event) view.show(event);
  }
  expect(io.err()).toBe(
    [
      "Queued, 2 jobs ahead  0s",
      "0%  Starting on gpu-a  0s",
      "45%  KSampler  step 9/20  5s",
      "90%  KSampler  step 18/20  11s",
      "",
    ].join("\n"),
  );
});
