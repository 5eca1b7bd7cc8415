import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { JobEvent, LastingEvent, PassingEvent, PassingEventData } from "../domain/job-event.ts";
import { JobLog } from "./job-log.ts";

const never = new AbortController().signal;
const noTime = new Date(0);

describe("JobLog", () => {
  it("gives every reader each lasting event once and in order, and of the passing ones the newest at least", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom("node", "progress", "preview", "place"), { maxLength: 40 }),
        async (kinds) => {
          const log = new JobLog();
          const early = collect(log.read(0n, never));
          let sequence = 0n;
          for (const [i, kind] of kinds.entries()) {
            if (kind === "node") {
              sequence += 1n;
              log.append([node(sequence)]);
            } else {
              log.pass(passing(sequence, kind, i));
            }
            if (i % 3 === 0) {
              await new Promise(setImmediate); // lets the early reader see some of them one by one
            }
          }
          log.append([end(sequence + 1n)]);

          for (const events of [await early, await collect(log.read(0n, never))]) {
            const lasting = events.filter(
              ({ data }) => data.type === "nodeStarted" || data.type === "failed",
            );
            expect(lasting.map((event) => event.sequence)).toEqual(numbersUpTo(sequence + 1n));
            expect(events.map((event) => event.sequence)).toEqual(
              events.map((event) => event.sequence).toSorted((a, b) => Number(a - b)),
            );
            expect(events.at(-1)?.data.type).toBe("failed");
            for (const kind of ["progress", "preview", "place"] as const) {
              const newest = kinds.lastIndexOf(kind);
              expect(
                newest === -1 || events.some(({ data }) => data.type === kind && markOf(data) === newest),
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
        const log = new JobLog();
        log.append(numbersUpTo(BigInt(count)).map(node));
        log.append([end(BigInt(count) + 1n)]);
        const all = await collect(log.read(0n, never));
        const rest = await collect(log.read(BigInt(after), never));
        expect(rest).toEqual(all.filter(({ sequence }) => sequence > BigInt(after)));
      }),
    );
  });

  it("takes events in that overlap with those it has, and none that leave a gap", () => {
    const log = new JobLog();
    expect(log.append([node(1n), node(2n)])).toBe(true);
    expect(log.append([node(2n), node(3n)])).toBe(true);
    expect(log.append([node(5n)])).toBe(false);
    expect(log.lastSequence).toBe(3n);
  });

  it("leaves out passing events that do not belong after the last lasting one", async () => {
    const log = new JobLog();
    log.append([node(1n), node(2n)]);
    log.pass(passing(1n, "progress", 1));
    log.pass(passing(3n, "preview", 2));
    log.append([end(3n)]);
    expect((await collect(log.read(0n, never))).map(({ data }) => data.type)).toEqual([
      "nodeStarted",
      "nodeStarted",
      "failed",
    ]);
  });

  it("skips what a stopped reader missed but for what must not be lost", async () => {
    const log = new JobLog();
    const reader = log.read(0n, never);
    for (let i = 0; i < 1_000; i++) {
      log.pass(passing(0n, "preview", i));
      log.pass(passing(0n, "progress", i));
    }
    log.append([node(1n), end(2n)]);
    expect((await collect(reader)).map(({ data }) => data.type)).toEqual([
      "preview",
      "progress",
      "nodeStarted",
      "failed",
    ]);
  });

  it("throws what it failed with after the last event", async () => {
    const log = new JobLog();
    log.append([node(1n)]);
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
    const log = new JobLog();
    log.append([end(1n)]);
    log.append([node(2n)]);
    log.pass(passing(1n, "preview", 1));
    log.fail(new Error("too late"));
    expect((await collect(log.read(0n, never))).map(({ data }) => data.type)).toEqual(["failed"]);
  });

  it("wakes a waiting reader with the reason of its signal when that is aborted", async () => {
    const controller = new AbortController();
    const waiting = collect(new JobLog().read(0n, controller.signal));
    controller.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
  });
});

async function collect(events: AsyncIterable<JobEvent>): Promise<JobEvent[]> {
  return await Array.fromAsync(events);
}

function numbersUpTo(last: bigint): bigint[] {
  return Array.from({ length: Number(last) }, (_, i) => BigInt(i + 1));
}

function node(sequence: bigint): LastingEvent {
  return {
    sequence,
    time: noTime,
    data: { type: "nodeStarted", nodeId: "1", classType: "KSampler", title: "" },
  };
}

function end(sequence: bigint): LastingEvent {
  const failure = { reason: "NODE_FAILED", message: "why", details: {} } as const;
  return { sequence, time: noTime, data: { type: "failed", state: "failed", failure } };
}

function passing(sequence: bigint, kind: PassingEventData["type"], mark: number): PassingEvent {
  return { sequence, time: noTime, data: dataOf(kind, mark) };
}

function dataOf(kind: PassingEventData["type"], mark: number): PassingEventData {
  switch (kind) {
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
    case "place":
      return { type: "place", jobsAhead: mark, attempt: 1 };
  }
}

function markOf(data: JobEvent["data"]): number {
  return data.type === "place" ? data.jobsAhead : "nodeId" in data ? Number(data.nodeId) : -1;
}
