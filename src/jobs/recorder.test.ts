import { describe, expect, it } from "vitest";
import {
  completed,
  lease,
  nodeStarted,
  queuedAgain,
  running,
  started,
} from "../../test/contract/job-store/job-builders.ts";
import { Faults } from "../../test/support/faults.ts";
import { collectLog } from "../../test/support/log-lines.ts";
import { never, openJobsHome } from "../../test/support/start-jobs.ts";
import type { LastingEvent } from "../domain/job-event.ts";
import type { BusMessage } from "../storage/event-bus.ts";
import type { JobStore, JobWrite } from "../storage/job-store.ts";
import { Announcer } from "./announcer.ts";
import { JobRun } from "./job-run.ts";
import { Recorder } from "./recorder.ts";
import { RunTimes } from "./run-times.ts";

/** A recorder on a real store, with two jobs that run. */
async function open() {
  await using made = new AsyncDisposableStack();
  const home = made.use(await openJobsHome());
  const faults = new Faults();
  const { logger } = collectLog("debug");
  const published: BusMessage[] = [];
  const batches: (readonly JobWrite[])[] = [];
  const store = faults.wrap<Pick<JobStore, "record">>({
    record: (writes, signal) => {
      batches.push(writes);
      return home.store.record(writes, signal);
    },
  });
  const bus = { publish: (message: BusMessage) => void published.push(message) };
  const announcer = new Announcer({
    bus: { ...bus, subscribe: () => new DisposableStack(), [Symbol.asyncDispose]: async () => {} },
    logger,
    runTimes: new RunTimes(),
    logPrompts: false,
  });
  const recorder = made.use(new Recorder({ store, announcer, logger }));
  const held = await lease(home.store);
  const now = new Date();
  const job = await running(home.store, held, { createTime: now });
  const other = await running(home.store, held, { createTime: now });
  const owned = made.move();
  return {
    home,
    faults,
    recorder,
    held,
    job,
    other,
    /** What each call of the store was asked to write. */
    batches,
    published,
    eventsOf: async ({ id }: { readonly id: string }) => typesOf(await home.store.readEvents(id, 0n, never)),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function typesOf(events: readonly LastingEvent[] = []): string[] {
  return events.map(({ data }) => (data.type === "nodeStarted" ? data.nodeId : data.type));
}

describe("Recorder", () => {
  it("writes what comes at once in one go, in order for each job", async () => {
    await using it = await open();
    const { recorder, held, job, other } = it;
    await Promise.all([
      recorder.write(job.id, held, [started()]),
      recorder.write(other.id, held, [started()]),
      recorder.write(job.id, held, [nodeStarted("a"), nodeStarted("b")]),
      recorder.write(other.id, held, [nodeStarted("c")]),
      recorder.write(job.id, held, [nodeStarted("d")]),
    ]);
    expect(it.batches.map((writes) => writes.length)).toEqual([2]);
    expect(await it.eventsOf(job)).toEqual(["accepted", "queued", "started", "a", "b", "d"]);
    expect(await it.eventsOf(other)).toEqual(["accepted", "queued", "started", "c"]);
  });

  it("writes what comes while it writes next, together", async () => {
    await using it = await open();
    const { recorder, held, job, other } = it;
    const hold = it.faults.hold("record");
    const first = recorder.write(job.id, held, [started()]);
    await hold.reached;
    const later = [
      recorder.write(job.id, held, [nodeStarted("a")]),
      recorder.write(other.id, held, [started()]),
    ];
    hold.release();
    await Promise.all([first, ...later]);
    expect(it.batches.map((writes) => writes.length)).toEqual([1, 2]);
  });

  it("takes one write after the other, whenever they come", async () => {
    await using it = await open();
    const { recorder, held, job } = it;
    const deps = { recorder, bus: it.home.bus, now: () => new Date() };
    if (job.attempt === undefined) {
      throw new Error("the job is running");
    }
    const run = new JobRun(job, job.attempt, held, false, deps);
    // Each number is one of microtasks between the end of one write and the next.
    for (let gap = 0; gap < 12; gap += 1) {
      await run.write(nodeStarted(`${gap}`));
      for (let i = 0; i < gap; i += 1) {
        await undefined;
      }
    }
    expect(run.record.lastSequence).toBe(14n);
  });

  it("gives the job as it is then, and announces what it wrote only when it is there", async () => {
    await using it = await open();
    const { recorder, held, job } = it;
    const hold = it.faults.hold("record");
    const written = recorder.write(job.id, held, [started()]);
    await hold.reached;
    expect(it.published).toEqual([]);
    hold.release();
    expect(await written).toMatchObject({ state: "running", lastSequence: 3n, startTime: expect.any(Date) });
    expect(it.published).toMatchObject([
      { type: "recorded", jobId: job.id, lastSequence: 3n, events: [{ sequence: 3n }] },
    ]);
  });

  it("goes on when the store works again", async () => {
    await using it = await open();
    const { recorder, held, job } = it;
    it.faults.break();
    const write = recorder.write(job.id, held, [started()]);
    const next = recorder.write(job.id, held, [nodeStarted("a")]);
    it.faults.mend();
    await Promise.all([write, next]);
    expect(await it.eventsOf(job)).toEqual(["accepted", "queued", "started", "a"]);
  });

  it("does not write twice what was written without the store's saying so, and announces it", async () => {
    await using it = await open();
    const { recorder, held, job } = it;
    it.faults.loseAnswer("record");
    it.faults.loseAnswer("record");
    expect(await recorder.write(job.id, held, [started()])).toMatchObject({ lastSequence: 3n });
    expect(it.batches).toHaveLength(3);
    expect(await it.eventsOf(job)).toEqual(["accepted", "queued", "started"]);
    expect(it.published).toMatchObject([{ lastSequence: 3n, events: [{ sequence: 3n }] }]);
  });

  it("refuses what is written under a lease that another has, or to a job that has ended", async () => {
    await using it = await open();
    const { recorder, held, job, other } = it;
    await recorder.write(other.id, held, [completed()]);
    const writes = await Promise.allSettled([
      recorder.write(job.id, { ...held, token: held.token - 1 }, [started()]),
      recorder.write(other.id, held, [nodeStarted("a")]),
      recorder.write(job.id, held, [nodeStarted("b")]),
    ]);
    expect(writes).toMatchObject([
      { status: "rejected", reason: { reason: "LEASE_LOST" } },
      { status: "rejected", reason: { reason: "LEASE_LOST" } },
      { status: "fulfilled" },
    ]);
    expect(await it.eventsOf(job)).toEqual(["accepted", "queued", "b"]);
  });

  it("does not take the leases of two backends for one because they have the same token", async () => {
    await using it = await open();
    const { recorder, held, job } = it;
    const other = await lease(it.home.store, "gpu-2");
    expect(other.token).toBe(held.token);
    const writes = await Promise.allSettled([
      recorder.write(job.id, other, [nodeStarted("a")]),
      recorder.write(job.id, held, [nodeStarted("b")]),
    ]);
    expect(writes.map(({ status }) => status)).toEqual(["rejected", "fulfilled"]);
    expect(await it.eventsOf(job)).toEqual(["accepted", "queued", "b"]);
  });

  it("puts a job back into the queue with what is known of the attempt", async () => {
    await using it = await open();
    const { recorder, held, job } = it;
    const queueDeadline = new Date(Date.now() + 5_000);
    const record = await recorder.write(job.id, held, [queuedAgain(2)], {
      attemptFate: "gone",
      queueDeadline,
    });
    expect(record).toMatchObject({ state: "queued", attempt: { number: 1, fate: "gone" }, queueDeadline });
  });

  it("lets a write that cannot be fail alone", async () => {
    await using it = await open();
    const { recorder, held, job, other } = it;
    const impossible = nodeStarted("a");
    Object.defineProperty(impossible, "title", {
      enumerable: true,
      get: () => {
        throw new Error("cannot be written");
      },
    });
    const writes = await Promise.allSettled([
      recorder.write(job.id, held, [impossible]),
      recorder.write(other.id, held, [started()]),
    ]);
    expect(writes).toMatchObject([
      { status: "rejected", reason: { message: "cannot be written" } },
      { status: "fulfilled" },
    ]);
    expect(await it.eventsOf(other)).toEqual(["accepted", "queued", "started"]);
    await recorder.write(job.id, held, [started()]);
  });

  it("writes what is waiting when it is disposed of", async () => {
    await using it = await open();
    const { recorder, held, job } = it;
    const write = recorder.write(job.id, held, [started()]);
    await recorder[Symbol.asyncDispose]();
    await write;
  });

  it("gives up when it is disposed of while the store does not work", async () => {
    await using it = await open();
    const { recorder, held, job } = it;
    it.faults.break();
    const write = recorder.write(job.id, held, [started()]);
    const refused = expect(write).rejects.toMatchObject({ reason: "LEASE_LOST" });
    await recorder[Symbol.asyncDispose]();
    await refused;
  });
});
