import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { ScriptedBackend } from "../../test/support/scripted-backend.ts";
import { type RunScript, ScriptedEngine, succeed } from "../../test/support/scripted-engine.ts";
import { caller, never, openJobsHome, type Replica, startAlone } from "../../test/support/start-jobs.ts";
import { waitUntil } from "../../test/support/wait-until.ts";
import { isLastEvent, isLasting, type JobEvent, type LastingEvent } from "../domain/job-event.ts";
import type { RunEvent } from "../engine/engine.ts";
import { createInProcessEventBus } from "../storage/in-process/in-process-event-bus.ts";
import { createLogger } from "../telemetry/logger.ts";
import { JobFeeds } from "./job-feeds.ts";

/** A run that tells of one step after the other, each when the one before has been taken. */
function tell(steps: readonly ("node" | "progress" | "wait")[]): RunScript {
  return async function* (request): AsyncGenerator<RunEvent> {
    yield { type: "started", cachedNodeIds: [] };
    const nodeIds = Object.keys(request.graph);
    for (const [i, step] of steps.entries()) {
      const nodeId = nodeIds[i % nodeIds.length] ?? "";
      if (step === "node") {
        yield { type: "nodeStarted", nodeId };
      } else if (step === "progress") {
        yield { type: "progress", nodeId, value: i, max: steps.length };
      } else {
        await new Promise(setImmediate);
      }
    }
    yield* succeed(request);
  };
}

const steps = fc.array(
  fc.constantFrom("node" as const, "node" as const, "progress" as const, "wait" as const),
  { minLength: 5, maxLength: 30 },
);

/** How many events a watch gets before it is cut, one number a watch; after the last, nothing is cut. */
const cuts = fc.array(fc.integer({ min: 1, max: 6 }), { maxLength: 12 });

/** Watches a job on one replica after the other, each time cut after so many events. */
async function watchInTurns(
  replicas: readonly Replica[],
  jobId: string,
  lengths: readonly number[],
): Promise<LastingEvent[]> {
  const seen: LastingEvent[] = [];
  for (let turn = 0; ; turn += 1) {
    let left = lengths[turn] ?? Number.POSITIVE_INFINITY;
    const replica = replicas[turn % replicas.length];
    for await (const event of replica?.watch(jobId, seen.at(-1)?.sequence ?? 0n) ?? []) {
      if (isLasting(event)) {
        seen.push(event);
        if (isLastEvent(event)) {
          return seen;
        }
      } else {
        expect(event.sequence).toBe(seen.at(-1)?.sequence ?? 0n);
      }
      left -= 1;
      if (left === 0) {
        break;
      }
    }
  }
}

describe("JobFeeds", () => {
  it("lets a watch that was cut anywhere go on on another replica, without gap or repetition", async () => {
    await using home = await openJobsHome();
    const engine = new ScriptedEngine();
    await using first = home.start(engine);
    await using second = home.start([]);
    await fc.assert(
      fc.asyncProperty(steps, cuts, cuts, async (story, some, others) => {
        engine.otherwise = tell(story);
        const { id } = await first.submit();
        const seen = await Promise.all([
          watchInTurns([first, second], id, some),
          watchInTurns([second, first], id, others),
        ]);
        const written = await home.store.readEvents(id, 0n, never);
        expect(seen).toEqual([written, written]);
        expect(await watchInTurns([second, first], id, some)).toEqual(written);
      }),
      { numRuns: 25 },
    );
  });

  it("shows the same to those who came before, while it ran, and after its end", async () => {
    const backend = new ScriptedBackend();
    await using home = await openJobsHome();
    await using first = home.start(backend.connect(), { maxInFlight: 1 });
    await using second = home.start([]);
    await first.submit();
    await backend.given(1);
    const { id } = await first.submit(); // waits for the first
    const before = [first.story(id), second.story(id)];
    backend.finish();
    await backend.given(2);
    const during = [first.story(id), second.story(id)];
    backend.finish();
    const written = [...(await Promise.all(before)), ...(await Promise.all(during))];
    const after = [await first.story(id), await second.story(id)];
    const expected = await home.store.readEvents(id, 0n, never);
    expect([...written, ...after]).toEqual(Array(6).fill(expected));
  });

  it("reads the events of a job once, however many watch it", async () => {
    await using alone = await startAlone(new ScriptedBackend().connect());
    const { id } = await alone.replica.submit();
    await alone.replica.hears(id, "started");
    const reads = () => alone.replica.faults.calls.filter((name) => name === "readEvents").length;
    const readsBefore = reads();
    const leaving = new AbortController();
    const watches = Array.from({ length: 20 }, () => alone.replica.watch(id, 0n, leaving.signal));
    await Promise.all(watches.map((watch) => watch.next()));
    expect(reads() - readsBefore).toBe(1);
    leaving.abort(new Error("enough"));
    await Promise.allSettled(watches.map((watch) => watch.next()));
  });

  it("goes on when its store has been out of order, and on a line that was cut", async () => {
    const backend = new ScriptedBackend();
    await using home = await openJobsHome();
    await using first = home.start(backend.connect());
    await using second = home.start([]);
    const { id } = await first.submit();
    await backend.given(1);
    const begun = Promise.withResolvers<void>();
    const watch = async () => {
      const seen: JobEvent[] = [];
      for await (const event of second.watch(id)) {
        seen.push(event);
        if (event.data.type === "started") {
          begun.resolve();
        }
      }
      return seen.filter(isLasting);
    };
    const watched = watch();
    await begun.promise;
    second.bus.cut();
    second.faults.break();
    backend.finish();
    await first.end(id);
    expect(second.bus.droppedCount).toBeGreaterThan(0);
    second.bus.mend();
    await new Promise(setImmediate); // it has found the store out of order
    second.faults.mend();
    expect(await watched).toEqual(await home.store.readEvents(id, 0n, never));
  });

  it("begins while the store is out of order, if the job is known to be there", async () => {
    await using alone = await startAlone(new ScriptedEngine());
    const { id } = await alone.replica.submit();
    await alone.replica.end(id);
    const hold = alone.replica.faults.hold("readEvents");
    const story = alone.replica.story(id);
    await hold.reached;
    alone.replica.faults.break();
    hold.release();
    await new Promise(setImmediate);
    alone.replica.faults.mend();
    expect((await story).at(-1)?.data.type).toBe("completed");
  });

  it("misses nothing that is announced without its events, at whatever moment that is", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout"] }); // nothing may depend on looking again after a while
    try {
      const logger = createLogger({ level: "silent" });
      await using bus = createInProcessEventBus({ logger });
      const written: LastingEvent[] = [];
      const readEvents = async (_: string, after: bigint) => written.slice(Number(after));
      const store = { readEvents, placesOf: async () => new Map() };
      const feeds = new JobFeeds({ store, bus, logger, now: () => new Date() });
      const watch = feeds.watch("a", 0n, never);
      const announce = () => {
        const sequence = BigInt(written.length + 1);
        const data = { type: "nodeStarted", nodeId: "1", classType: "", title: "" } as const;
        written.push({ sequence, time: new Date(), data });
        bus.publish({ type: "recorded", jobId: "a", lastSequence: sequence });
      };
      for (let gap = 0; gap < 30; gap += 1) {
        const next = watch.next();
        announce();
        for (let i = 0; i < gap; i += 1) {
          await undefined;
        }
        announce();
        expect((await next).value?.sequence).toBe(BigInt(2 * gap + 1));
        expect((await watch.next()).value?.sequence).toBe(BigInt(2 * gap + 2));
      }
      await watch.return(undefined);
      vi.useRealTimers();
      await feeds[Symbol.asyncDispose]();
    } finally {
      vi.useRealTimers();
    }
  });

  it("looks into the store from time to time, as a replica may die before it can tell", async () => {
    const backend = new ScriptedBackend();
    await using home = await openJobsHome();
    await using first = home.start(backend.connect());
    await using second = home.start([]);
    const { id } = await first.submit();
    await backend.given(1);
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    try {
      const story = second.story(id);
      await second.hears(id, "started");
      second.bus.cut(); // and nobody says that there is a gap
      backend.finish();
      await first.end(id);
      vi.advanceTimersByTime(60_000);
      expect(await story).toEqual(await home.store.readEvents(id, 0n, never));
    } finally {
      vi.useRealTimers();
    }
  });

  it("tells those who watch a waiting job its place when that changes", async () => {
    const backend = new ScriptedBackend();
    await using home = await openJobsHome();
    await using replica = home.start(backend.connect(), { maxInFlight: 1 });
    await replica.submit();
    await backend.given(1);
    const second = await replica.submit();
    const third = await replica.submit();
    const places: number[] = [];
    for await (const { data } of replica.watch(third.id)) {
      if (data.type === "queued") {
        expect(data.jobsAhead).toBe(2);
        await replica.service.cancel(second.id, caller, never);
      } else if (data.type === "place") {
        places.push(data.jobsAhead);
        backend.finish();
      } else if (data.type === "started") {
        backend.finish();
      }
    }
    expect(places[0]).toBe(1);
  });

  it("ends with JOB_NOT_FOUND when the job is removed, and with SHUTTING_DOWN when disposed of", async () => {
    await using home = await openJobsHome();
    await using first = home.start(new ScriptedBackend().connect());
    const second = home.start([]);
    const { id } = await first.submit();
    await first.hears(id, "started");
    const watch = second.watch(id, 3n);
    const next = watch.next();
    const refused = expect(next).rejects.toMatchObject({ reason: "SHUTTING_DOWN" });
    await waitUntil(() => second.faults.calls.includes("readEvents"), "it watches");
    await second[Symbol.asyncDispose]();
    await refused;

    await first.service.cancel(id, caller, never);
    await first.end(id);
    const hold = first.faults.hold("readEvents");
    const late = first.story(id);
    await hold.reached;
    await first.service.delete(id, caller, never);
    hold.release();
    await expect(late).rejects.toMatchObject({
      reason: "JOB_NOT_FOUND",
      details: { metadata: { job_id: id } },
    });
  });
});
