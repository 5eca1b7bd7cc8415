import { describe, expect, it } from "vitest";
import type { RunEvent } from "../engine.ts";
import { RunEventQueue } from "./run-event-queue.ts";

const started: RunEvent = { type: "started", cachedNodeIds: [] };
const finished: RunEvent = { type: "finished", outputs: [] };

function progress(nodeId: string, value: number): RunEvent {
  return { type: "progress", nodeId, value, max: 10 };
}

function preview(nodeId: string, byte: number): RunEvent {
  return { type: "preview", nodeId, mediaType: "image/jpeg", data: Uint8Array.of(byte) };
}

async function readAll(queue: RunEventQueue): Promise<readonly RunEvent[]> {
  const events: RunEvent[] = [];
  for (let event = await queue.next(); event !== undefined; event = await queue.next()) {
    events.push(event);
  }
  return events;
}

describe("RunEventQueue", () => {
  it("yields everything, in order, to a reader that keeps up", async () => {
    const queue = new RunEventQueue();
    for (const event of [started, progress("3", 1), preview("3", 1), progress("3", 2), finished]) {
      queue.push(event);
      expect(await queue.next()).toEqual(event);
    }
    queue.close();
    expect(await queue.next()).toBeUndefined();
  });

  it("drops the oldest steps and previews of a slow reader, and nothing else", async () => {
    const queue = new RunEventQueue();
    queue.push(started);
    for (let step = 1; step <= 1000; step++) {
      queue.push(progress("3", step));
      queue.push(preview("3", step % 256));
      queue.push({ type: "nodeStarted", nodeId: `n${step}` });
    }
    queue.push(finished);
    queue.close();

    const events = await readAll(queue);
    const ofType = (type: RunEvent["type"]) => events.filter((event) => event.type === type);
    expect(ofType("nodeStarted")).toHaveLength(1000);
    expect([events[0], events.at(-1)]).toEqual([started, finished]);
    expect(ofType("preview")).toEqual([997, 998, 999, 1000].map((step) => preview("3", step % 256)));
    expect(ofType("progress").length).toBeLessThanOrEqual(64);
    expect(ofType("progress").at(-1)).toEqual(progress("3", 1000));
  });

  it("keeps every step for a reader that is only a little behind", async () => {
    const queue = new RunEventQueue();
    const steps = Array.from({ length: 20 }, (_, index) => progress("3", index + 1));
    for (const step of steps) {
      queue.push(step);
    }
    queue.close();
    expect(await readAll(queue)).toEqual(steps);
  });

  it("lets the reader have what came before a failure, and takes nothing after it", async () => {
    const queue = new RunEventQueue();
    queue.push(started);
    queue.fail(new Error("gone"));
    queue.push(finished);
    queue.close();
    expect(await queue.next()).toEqual(started);
    await expect(queue.next()).rejects.toThrow("gone");
  });

  it("wakes a reader that is already waiting", async () => {
    const queue = new RunEventQueue();
    const next = queue.next();
    queue.push(started);
    expect(await next).toEqual(started);
  });
});
