import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { JobEvent, JobEventData } from "../domain/job-event.ts";
import { systemClock } from "../lib/clock.ts";
import { JobLog } from "./job-log.ts";

const never = new AbortController().signal;

describe("JobLog", () => {
  it("gives every reader each kept event once and in order, and of the droppable ones the newest at least", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom("node", "progress", "preview", "queued"), { maxLength: 40 }),
        async (kinds) => {
          const log = new JobLog(systemClock);
          const early = collect(log.read(0n, never));
          for (const [i, kind] of kinds.entries()) {
            log.append(eventOf(kind, i));
            if (i % 3 === 0) {
              await new Promise(setImmediate); // lets the early reader see some of them one by one
            }
          }
          log.append({ type: "completed", result: anyResult });
          const late = await collect(log.read(0n, never));

          for (const events of [await early, late]) {
            const sequences = events.map(({ sequence }) => sequence);
            expect(sequences).toEqual([...new Set(sequences)].sort((a, b) => Number(a - b)));
            expect(events.filter(({ data }) => data.type === "nodeStarted")).toHaveLength(
              kinds.filter((kind) => kind === "node").length,
            );
            expect(events.at(-1)?.data.type).toBe("completed");
            for (const kind of ["progress", "preview", "queued"] as const) {
              const newest = kinds.lastIndexOf(kind);
              expect(
                newest === -1 || events.some(({ data }) => data.type === kind && marker(data) === newest),
              ).toBe(true);
            }
          }
        },
      ),
    );
  });

  it("can be read from any event on without gap or repetition", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 20 }), fc.nat(25), async (count, after) => {
        const log = new JobLog(systemClock);
        for (let i = 0; i < count; i++) {
          log.append(eventOf("node", i));
        }
        log.append({ type: "completed", result: anyResult });
        const all = await collect(log.read(0n, never));
        const rest = await collect(log.read(BigInt(after), never));
        expect(rest).toEqual(all.filter(({ sequence }) => sequence > BigInt(after)));
      }),
    );
  });

  it("skips what a stopped reader missed but for what must not be lost", async () => {
    const log = new JobLog(systemClock);
    const reader = log.read(0n, never);
    for (let i = 0; i < 1_000; i++) {
      log.append(eventOf("preview", i));
      log.append(eventOf("progress", i));
    }
    log.append(eventOf("node", 1_000));
    log.append({ type: "completed", result: anyResult });
    expect((await collect(reader)).map(({ data }) => data.type)).toEqual([
      "preview",
      "progress",
      "nodeStarted",
      "completed",
    ]);
  });

  it("throws what the job failed with after the last event", async () => {
    const log = new JobLog(systemClock);
    log.append(eventOf("node", 0));
    log.fail(new Error("the reason"));
    const seen: string[] = [];
    const read = async () => {
      for await (const { data } of log.read(0n, never)) {
        seen.push(data.type);
      }
    };
    await expect(read()).rejects.toThrow("the reason");
    expect(seen).toEqual(["nodeStarted"]);
  });

  it("takes nothing in once it has ended", async () => {
    const log = new JobLog(systemClock);
    log.append({ type: "completed", result: anyResult });
    log.append(eventOf("preview", 1));
    log.fail(new Error("too late"));
    expect((await collect(log.read(0n, never))).map(({ data }) => data.type)).toEqual(["completed"]);
  });

  it("wakes a waiting reader with the reason of its signal when that is aborted", async () => {
    const controller = new AbortController();
    const waiting = collect(new JobLog(systemClock).read(0n, controller.signal));
    controller.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
  });
});

async function collect(events: AsyncIterable<JobEvent>): Promise<JobEvent[]> {
  return await Array.fromAsync(events);
}

function eventOf(kind: "node" | "progress" | "preview" | "queued", mark: number): JobEventData {
  switch (kind) {
    case "node":
      return { type: "nodeStarted", nodeId: `${mark}`, classType: "KSampler", title: "" };
    case "progress":
      return {
        type: "progress",
        nodeId: `${mark}`,
        step: 1,
        steps: 2,
        fraction: 0,
        elapsedMs: 0,
        remainingMs: undefined,
      };
    case "preview":
      return {
        type: "preview",
        nodeId: `${mark}`,
        imageIndex: 0,
        step: 0,
        format: "jpeg",
        widthPx: 1,
        heightPx: 1,
        data: new Uint8Array(),
      };
    case "queued":
      return { type: "queued", jobsAhead: mark, attempt: 1 };
  }
}

function marker(data: JobEventData): number {
  return data.type === "queued" ? data.jobsAhead : "nodeId" in data ? Number(data.nodeId) : -1;
}

const anyResult: Extract<JobEventData, { type: "completed" }>["result"] = {
  images: [],
  generation: {
    prompt: "p",
    negativePrompt: "",
    model: "m",
    widthPx: 64,
    heightPx: 64,
    steps: 1,
    cfg: 1,
    denoise: 1,
    sampler: "euler",
    scheduler: "normal",
    seed: 1n,
    imageCount: 1,
    loras: [],
    output: { format: "png", inlineLimitBytes: 0 },
  },
  graphSha256: "",
  backend: { name: "b", comfyUiVersion: "", builtIn: true },
  attemptCount: 1,
  createTime: new Date(0),
  endTime: new Date(0),
  timings: { queueMs: 0, backendQueueMs: 0, executionMs: 0, deliveryMs: 0, totalMs: 0 },
  nodes: [],
};
