import { randomUUID } from "node:crypto";
import { expect, it } from "vitest";
import type { JobWrite, WriteOutcome } from "../../../src/storage/job-store.ts";
import {
  at,
  buildFailure,
  buildImage,
  buildJob,
  buildOutput,
  buildResult,
  buildWrite,
  claimOne,
  completed,
  finish,
  lease,
  left,
  never,
  nodeStarted,
  produced,
  queuedAgain,
  running,
  started,
  startTime,
  stopped,
  submitEach,
} from "./job-builders.ts";
import type { TestStore } from "./store-home.ts";

/** `record` and `readEvents`. */
export function recording(open: () => Promise<TestStore>): void {
  it("writes what happened, numbers it, and changes the job by it", async () => {
    await using store = await open();
    const held = await lease(store.jobs);
    const job = await running(store.jobs, held, { retentionMs: 7_000 });
    store.clock.advance(1_000);
    const first = await store.jobs.record([buildWrite(job.id, held, [started(), nodeStarted("3")])], never);
    expect(first).toEqual([
      {
        type: "taken",
        events: [
          { sequence: 3n, time: at(1), data: started() },
          { sequence: 4n, time: at(1), data: nodeStarted("3") },
        ],
        job: { ...job, startTime: at(1), lastSequence: 4n },
      },
    ]);
    store.clock.advance(1_000);
    const result = buildResult(2, { outputs: [buildOutput(0)] });
    const [last] = await store.jobs.record(
      [buildWrite(job.id, held, [produced(0), left(0), produced(1), completed(result)])],
      never,
    );
    const record = {
      ...job,
      startTime: at(1),
      lastSequence: 8n,
      state: "succeeded",
      images: [buildImage(0), buildImage(1)],
      outputs: [buildOutput(0)],
      result,
      endTime: at(2),
      expireTime: at(9),
    };
    expect(last).toMatchObject({ type: "taken", job: record });
    expect(await store.other.get("", job.id, never)).toEqual(record);
    const events = await store.other.readEvents(job.id, 2n, never);
    expect(events).toEqual([...eventsOf(first[0]), ...eventsOf(last)]);
  });

  it("takes or refuses each write on its own", async () => {
    await using store = await open();
    const held = await lease(store.jobs);
    const elsewhere = await lease(store.jobs, "gpu-2"); // the same token, of another backend
    const [a, b, c] = [
      await running(store.jobs, held),
      await running(store.jobs, elsewhere),
      await running(store.jobs, held),
    ];
    await finish(store.jobs, held, c.id);
    const [queued] = await submitEach(store.jobs, [buildJob()]);
    const jobIds = [randomUUID(), b.id, c.id, queued?.id ?? "", a.id];
    const outcomes = await store.jobs.record(
      jobIds.map((id) => buildWrite(id, held, [started()])),
      never,
    );
    expect(outcomes.map(({ type }) => type)).toEqual([...Array(4).fill("refused"), "taken"]);
    expect(await store.jobs.get("", b.id, never)).toEqual(b);
    const older = { ...held, token: held.token - 1 };
    expect(await store.jobs.record([buildWrite(a.id, older, [started()])], never)).toEqual([
      { type: "refused" },
    ]);
  });

  it("takes several writes to one job in their order, also in one batch", async () => {
    await using store = await open();
    const held = await lease(store.jobs);
    const job = await running(store.jobs, held);
    const writes = [
      buildWrite(job.id, held, [started()]),
      buildWrite(job.id, held, []),
      buildWrite(job.id, held, [nodeStarted("3"), completed()]),
      buildWrite(job.id, held, [nodeStarted("4")]),
    ];
    const outcomes = await store.jobs.record(writes, never);
    expect(outcomes.map((outcome) => eventsOf(outcome).map(({ sequence }) => sequence))).toEqual([
      [3n],
      [],
      [4n, 5n],
      [],
    ]);
    expect(outcomes.map(({ type }) => type)).toEqual(["taken", "taken", "taken", "refused"]);
    const events = await store.jobs.readEvents(job.id, 0n, never);
    expect(events?.map(({ sequence }) => sequence)).toEqual([1n, 2n, 3n, 4n, 5n]);
  });

  it.each([
    ["events", [started(), produced(0)]],
    ["its end", [started(), completed()]],
    ["a return to the queue", [queuedAgain(2)]],
    ["no events", []],
  ])("takes a write of %s once, however often it comes", async (_, data) => {
    await using store = await open();
    const held = await lease(store.jobs);
    const job = await running(store.jobs, held);
    const write = buildWrite(job.id, held, data);
    const outcome = await store.jobs.record([write], never);
    const [taken] = outcome;
    expect(taken?.type).toBe("taken");
    expect(await store.other.record([write], never)).toEqual(outcome);
    expect(await store.jobs.record([write, write], never)).toEqual([taken, taken]);
    expect(await store.jobs.readEvents(job.id, 2n, never)).toEqual(eventsOf(taken));
  });

  it("takes a write once that comes twice in its first batch, and after others have written", async () => {
    await using store = await open();
    const held = await lease(store.jobs);
    const job = await running(store.jobs, held);
    const write = buildWrite(job.id, held, [started(), nodeStarted("3")]);
    const [one, two] = await store.jobs.record([write, write], never);
    expect(two).toEqual(one);
    const failure = buildFailure("CANCELLED_BY_REQUEST");
    const stop = await store.other.stop({ jobId: job.id, failure }, never);
    const [again] = await store.jobs.record([write], never);
    expect(again).toEqual({ type: "taken", events: eventsOf(one), job: stop?.job });
    expect(await store.jobs.readEvents(job.id, 4n, never)).toEqual(stop?.events);
  });

  it("refuses a success of a job that has to stop, and takes its end", async () => {
    await using store = await open();
    const held = await lease(store.jobs);
    const job = await running(store.jobs, held);
    await store.other.stop({ jobId: job.id, failure: buildFailure("CANCELLED_BY_REQUEST") }, never);
    const late = [produced(0), completed()];
    expect(await store.jobs.record([buildWrite(job.id, held, late)], never)).toEqual([{ type: "refused" }]);
    expect(await store.jobs.record([buildWrite(job.id, held, [queuedAgain(2)])], never)).toEqual([
      { type: "refused" },
    ]);
    expect(await store.jobs.get("", job.id, never)).toMatchObject({ images: [], lastSequence: 3n });
    const ended = await finish(store.jobs, held, job.id, stopped());
    expect(ended).toMatchObject({ state: "cancelled", lastSequence: 4n });
  });

  it("puts a job back into the queue, with a new deadline, under nobody's lease", async () => {
    await using store = await open();
    const held = await lease(store.jobs);
    const { startTime: _, ...job } = await running(store.jobs, held, { createTime: startTime });
    await store.jobs.record([buildWrite(job.id, held, [started(), produced(0)])], never);
    const queueDeadline = at(77);
    const [outcome] = await store.jobs.record(
      [buildWrite(job.id, held, [queuedAgain(2)], { attemptFate: "gone", queueDeadline })],
      never,
    );
    expect(outcome).toMatchObject({
      type: "taken",
      job: { state: "queued", queueDeadline, attempt: { ...job.attempt, fate: "gone" } },
    });
    const queued = await store.other.get("", job.id, never);
    expect(queued).toEqual({
      ...job,
      state: "queued",
      queueDeadline,
      attempt: { ...job.attempt, fate: "gone" },
      images: [buildImage(0)],
      lastSequence: 5n,
    });
    expect(await store.jobs.record([buildWrite(job.id, held, [started()])], never)).toEqual([
      { type: "refused" },
    ]);
  });

  it("takes back an attempt that never was: the first one, a later one, and one that was repeated", async () => {
    await using store = await open();
    const held = await lease(store.jobs);
    const elsewhere = await lease(store.jobs, "gpu-2");
    const { id } = await running(store.jobs, held);
    const back = async (on: typeof held, attemptFate: NonNullable<JobWrite["attemptFate"]>) => {
      await store.jobs.record([buildWrite(id, on, [queuedAgain(1)], { attemptFate })], never);
      return (await store.jobs.get("", id, never))?.attempt;
    };
    expect(await back(held, "never")).toBeUndefined();
    const first = (await claimOne(store.jobs, held)).job.attempt;
    expect(first).toMatchObject({ number: 1 });
    const lost = await back(held, "unknown");
    expect(lost).toEqual({ ...first, fate: "unknown" });

    expect((await claimOne(store.jobs, elsewhere)).job.attempt).toMatchObject({ number: 2 });
    expect(await back(elsewhere, "never")).toEqual(lost);
    expect(await claimOne(store.jobs, held)).toMatchObject({ isRepeat: true, job: { attempt: first } });
    expect(await back(held, "never")).toEqual(lost);
    const claim = await claimOne(store.jobs, elsewhere);
    expect(claim).toMatchObject({ job: { attempt: { number: 2 } }, leftBehind: { backend: "gpu-1" } });
  });

  it("writes batches that overlap, in whatever order they are, from two at once", async () => {
    await using store = await open();
    const held = await lease(store.jobs);
    const jobs = await Promise.all(Array.from({ length: 8 }, () => running(store.jobs, held)));
    const rounds = Array.from({ length: 12 }, (_, round) => {
      const order = round % 2 ? jobs : jobs.toReversed();
      const writes = order.map(({ id }) => buildWrite(id, held, [nodeStarted(`${round}`)]));
      return (round % 2 ? store.jobs : store.other).record(writes, never);
    });
    const outcomes = (await Promise.all(rounds)).flat();
    expect(new Set(outcomes.map(({ type }) => type))).toEqual(new Set(["taken"]));
    for (const { id } of jobs) {
      const events = await store.jobs.readEvents(id, 2n, never);
      expect(events?.map(({ sequence }) => Number(sequence))).toEqual(rounds.map((_, i) => i + 3));
    }
  });

  it("writes a batch that is larger than a statement may be", async () => {
    await using store = await open();
    const held = await lease(store.jobs);
    const job = await running(store.jobs, held);
    const nodes = Array.from({ length: 3_000 }, (_, i) => nodeStarted(`${i}`));
    await store.jobs.record([buildWrite(job.id, held, nodes)], never);
    expect(await store.jobs.readEvents(job.id, 2n, never)).toHaveLength(3_000);
  });

  it("shows a reader the events of a job without a gap, while its driver and others write", async () => {
    await using store = await open();
    const held = await lease(store.jobs);
    const job = await running(store.jobs, held);
    let isDone = false;
    const reader = (async () => {
      const seen: bigint[] = [];
      for (;;) {
        const isLast = isDone;
        const events = await store.other.readEvents(job.id, seen.at(-1) ?? 0n, never);
        seen.push(...(events ?? []).map(({ sequence }) => sequence));
        if (isLast) {
          return seen;
        }
      }
    })();
    const driver = async (from: number) => {
      for (let i = 0; i < 30; i++) {
        await store.jobs.record([buildWrite(job.id, held, [nodeStarted(`${from + i}`)])], never);
      }
    };
    const stopper = async () => {
      await store.other.readEvents(job.id, 0n, never);
      await store.other.stop({ jobId: job.id, failure: buildFailure("CANCELLED_BY_REQUEST") }, never);
    };
    await Promise.all([driver(0), driver(100), stopper()]);
    isDone = true;
    expect(await reader).toEqual(Array.from({ length: 2 + 30 + 30 + 1 }, (_, i) => BigInt(i + 1)));
  });
}

function eventsOf(outcome: WriteOutcome | undefined) {
  return outcome?.type === "taken" ? outcome.events : [];
}
