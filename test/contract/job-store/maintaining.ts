import { randomUUID } from "node:crypto";
import { expect, it } from "vitest";
import type { RescueOptions } from "../../../src/storage/job-store.ts";
import {
  all,
  at,
  buildFailure,
  buildJob,
  buildRequest,
  buildResult,
  buildSubmission,
  buildWrite,
  claimOne,
  finish,
  keepImages,
  lease,
  never,
  queuedAgain,
  running,
  started,
  startTime,
  submitEach,
  submitted,
} from "./job-builders.ts";
import type { TestStore } from "./store-home.ts";

const rescue: RescueOptions = {
  undrivenMs: 0,
  maxAttempts: 3,
  failure: buildFailure("BACKEND_LOST"),
  queueDeadline: at(500),
  limit: 100,
};

/** `expireQueued`, `failAttached`, `rescueUndriven`, `removeExpired`, and what is left after a restart. */
export function maintaining(open: () => Promise<TestStore>): void {
  it("ends queued jobs whose deadline has passed, once, whoever does it", async () => {
    await using store = await open();
    const failure = buildFailure("JOB_TIMEOUT");
    const held = await lease(store.jobs);
    const runs = await running(store.jobs, held, { queueDeadline: at(1) });
    const late = await submitEach(
      store.jobs,
      Array.from({ length: 9 }, () => buildJob({ queueDeadline: at(10) })),
    );
    const [early] = await submitEach(store.jobs, [buildJob({ queueDeadline: at(11) })]);
    expect(await store.jobs.expireQueued(at(9.999), failure, 100, never)).toEqual([]);
    expect(await store.jobs.expireQueued(at(10), failure, 2, never)).toHaveLength(2);
    const changes = await Promise.all(
      [store.jobs, store.other, store.jobs, store.other].map((each) =>
        each.expireQueued(at(10), failure, 100, never),
      ),
    );
    expect(changes.flat()).toHaveLength(7);
    for (const { jobId, events } of changes.flat()) {
      const data = { type: "failed", state: "expired", failure };
      expect(events).toEqual([{ sequence: 3n, time: startTime, data }]);
      expect(await store.jobs.readEvents(jobId, 2n, never)).toEqual(events);
      expect(await store.jobs.get("", jobId, never)).toMatchObject({ state: "expired", failure });
    }
    expect(await store.jobs.list("", { ...all, states: ["expired"] }, 100, never)).toHaveLength(late.length);
    expect(await store.jobs.get("", early?.id ?? "", never)).toEqual(early);
    expect(await store.jobs.get("", runs.id, never)).toEqual(runs);
  });

  it("ends queued jobs that calls wait for", async () => {
    await using store = await open();
    const failure = buildFailure("SHUTTING_DOWN");
    const held = await lease(store.jobs);
    const runs = await running(store.jobs, held, { attached: true });
    const waited = await submitEach(store.jobs, [
      buildJob({ attached: true }),
      buildJob({ attached: true }),
      buildJob({ attached: true }),
    ]);
    const [alone] = await submitEach(store.jobs, [buildJob()]);
    const ids = [...waited, alone, runs].map((job) => job?.id ?? "");
    expect(await store.jobs.failAttached(ids.slice(0, 2), failure, never)).toHaveLength(2);
    expect(await store.jobs.failAttached(ids, failure, never)).toHaveLength(1);
    expect(await store.jobs.failAttached(ids, failure, never)).toEqual([]);
    expect(await store.jobs.failAttached([], failure, never)).toEqual([]);
    for (const { id } of waited) {
      expect(await store.jobs.get("", id, never)).toMatchObject({ state: "cancelled", failure });
    }
    expect(await store.jobs.get("", alone?.id ?? "", never)).toEqual(alone);
    expect(await store.jobs.get("", runs.id, never)).toEqual(runs);
  });

  it("tells where a job that ends while it waits may still run", async () => {
    await using store = await open();
    const held = await lease(store.jobs);
    const waiting = async (attemptFate: "unknown" | "gone") => {
      const job = await running(store.jobs, held, { attached: true, queueDeadline: at(1) });
      await store.jobs.record([buildWrite(job.id, held, [queuedAgain(2)], { attemptFate })], never);
      return job;
    };
    const failure = buildFailure("JOB_TIMEOUT");
    const lost = await waiting("unknown");
    const leftBehind = { backend: "gpu-1", promptId: lost.attempt?.promptId };
    expect(await store.jobs.expireQueued(at(1), failure, 10, never)).toMatchObject([{ leftBehind }]);
    const gone = await waiting("gone");
    const [change] = await store.jobs.failAttached([gone.id, lost.id], failure, never);
    expect(change).toEqual({ jobId: gone.id, events: [expect.anything()] });
  });

  it("puts jobs back whose backend nobody drives, and leaves those alone that somebody does", async () => {
    await using store = await open();
    const dead = await lease(store.jobs, "gpu-1");
    const alive = await lease(store.jobs, "gpu-2");
    const [lost, driven] = [await running(store.jobs, dead), await running(store.jobs, alive)];
    await store.jobs.record([buildWrite(lost.id, dead, [started()])], never);
    await submitEach(store.jobs, [buildJob({ createTime: at(-1) })]);
    expect(await store.jobs.rescueUndriven(rescue, never)).toEqual([]);
    await store.jobs.renewLease(dead, 0, never);
    expect(await store.jobs.rescueUndriven({ ...rescue, undrivenMs: 60_000 }, never)).toEqual([]);

    const changes = await store.other.rescueUndriven(rescue, never);
    const data = { type: "queued", jobsAhead: 2, attempt: 2 };
    expect(changes).toEqual([{ jobId: lost.id, events: [{ sequence: 4n, time: startTime, data }] }]);
    expect(await store.jobs.get("", lost.id, never)).toEqual({
      ...lost,
      state: "queued",
      lastSequence: 4n,
      queueDeadline: rescue.queueDeadline,
      attempt: { ...lost.attempt, fate: "unknown" },
    });
    expect(await store.jobs.get("", driven.id, never)).toEqual(driven);
    expect(await store.jobs.record([buildWrite(lost.id, dead, [started()])], never)).toEqual([
      { type: "refused" },
    ]);
    expect(await store.jobs.rescueUndriven(rescue, never)).toEqual([]);
  });

  it("puts back what ran under a lease that was given back", async () => {
    await using store = await open();
    const held = await lease(store.jobs);
    const { id } = await running(store.jobs, held);
    await store.jobs.releaseLease(held, never);
    expect(await store.jobs.rescueUndriven(rescue, never)).toMatchObject([{ jobId: id }]);
  });

  it("ends what was being cancelled and what has had its attempts, when nobody drives it", async () => {
    await using store = await open();
    const held = await lease(store.jobs);
    const [a, b] = [await running(store.jobs, held), await running(store.jobs, held)];
    const cancel = buildFailure("CANCELLED_BY_REQUEST");
    await store.jobs.stop({ jobId: a.id, failure: cancel }, never);
    await store.jobs.record([buildWrite(b.id, held, [queuedAgain(2)], { attemptFate: "gone" })], never);
    expect((await claimOne(store.jobs, held)).job.attempt?.number).toBe(2);
    await store.jobs.renewLease(held, 0, never);

    const changes = await store.jobs.rescueUndriven({ ...rescue, maxAttempts: 2 }, never);
    expect(changes.map(({ jobId }) => jobId).sort()).toEqual([a.id, b.id].sort());
    // The prompts may still be there.
    expect(changes.find(({ jobId }) => jobId === a.id)?.leftBehind).toEqual({
      backend: "gpu-1",
      promptId: a.attempt?.promptId,
    });
    expect(changes.map(({ leftBehind }) => leftBehind?.backend)).toEqual(["gpu-1", "gpu-1"]);
    expect(await store.jobs.get("", a.id, never)).toMatchObject({ state: "cancelled", failure: cancel });
    expect(await store.jobs.get("", b.id, never)).toMatchObject({
      state: "failed",
      failure: rescue.failure,
    });
  });

  it("puts a job back or lets it be adopted, when both happen at once, never both", async () => {
    await using store = await open();
    for (let round = 0; round < 10; round++) {
      const dead = await lease(store.jobs, `gpu-${round}`, "dead");
      const ids = [(await running(store.jobs, dead)).id, (await running(store.jobs, dead)).id];
      await store.jobs.renewLease(dead, 0, never);
      const [changes, adopted] = await Promise.all([
        store.jobs.rescueUndriven(rescue, never),
        lease(store.other, `gpu-${round}`, "next").then((next) => store.other.adopt(next, never)),
      ]);
      const found = [...changes.map(({ jobId }) => jobId), ...adopted.map(({ id }) => id)];
      expect(found.sort()).toEqual(ids.sort());
      for (const id of ids) {
        const state = adopted.some((job) => job.id === id) ? "running" : "queued";
        expect(await store.jobs.get("", id, never)).toMatchObject({ state });
        const failure = buildFailure("CANCELLED_BY_REQUEST");
        await store.jobs.stop({ jobId: id, failure }, never);
      }
    }
  });

  it("rescues each job once, whoever does it, and no more at a time than asked for", async () => {
    await using store = await open();
    const held = await lease(store.jobs);
    const jobs = await Promise.all(Array.from({ length: 9 }, () => running(store.jobs, held)));
    await store.jobs.renewLease(held, 0, never);
    expect(await store.jobs.rescueUndriven({ ...rescue, limit: 2 }, never)).toHaveLength(2);
    await Promise.all([store.jobs.rescueUndriven(rescue, never), store.other.rescueUndriven(rescue, never)]);
    expect(await store.jobs.counts(never)).toEqual({ queued: 9, running: 0 });
    for (const { id } of jobs) {
      expect(await store.jobs.readEvents(id, 2n, never)).toHaveLength(1);
    }
  });

  it("removes jobs whose time has come, and their batch with the last of them", async () => {
    await using store = await open();
    const result = buildResult();
    await keepImages(store.assets, result);
    const submission = buildSubmission(
      [10_000, 10_000, 20_000].map((retentionMs) => buildJob({ result, retentionMs })),
    );
    const batchId = submission.batchId ?? "";
    const jobs = await submitted(store.jobs, submission);
    const [queued] = await submitEach(store.jobs, [buildJob({ retentionMs: 0 })]);
    expect(await store.jobs.removeExpired(at(9.999), 100, never)).toBe(0);
    expect(await store.jobs.removeExpired(at(10), 1, never)).toBe(1);
    expect(await store.jobs.removeExpired(at(10), 100, never)).toBe(1);
    const left = await store.jobs.getBatch("", batchId, never);
    expect(left?.jobs.map(({ id }) => id)).toEqual([jobs[2]?.id]);
    expect(await store.jobs.readEvents(jobs[0]?.id ?? "", 0n, never)).toBeUndefined();
    expect(await store.jobs.removeExpired(at(20), 100, never)).toBe(1);
    expect(await store.jobs.getBatch("", batchId, never)).toBeUndefined();
    expect(await store.jobs.get("", queued?.id ?? "", never)).toEqual(queued);
  });

  it("removes each job once, and its batch, when several remove at once", async () => {
    await using store = await open();
    const result = buildResult();
    await keepImages(store.assets, result);
    const batches = await Promise.all(
      Array.from({ length: 10 }, async () => {
        const jobs = [1, 2, 3, 4].map(() => buildJob({ result, retentionMs: 0 }));
        const submission = buildSubmission(jobs);
        await submitted(store.jobs, submission);
        return submission.batchId ?? "";
      }),
    );
    const removed = await Promise.all(
      Array.from({ length: 16 }, (_, i) => (i % 2 ? store.jobs : store.other).removeExpired(at(1), 3, never)),
    );
    const count = removed.reduce((sum, each) => sum + each);
    expect(count + (await store.jobs.removeExpired(at(1), 100, never))).toBe(40);
    for (const id of batches) {
      expect(await store.jobs.getBatch("", id, never)).toBeUndefined();
    }
  });

  it("frees a request id when its time has come and its jobs are gone, not before either", async () => {
    await using store = await open();
    const request = { ...buildRequest("r1"), keptUntil: at(10) };
    const result = buildResult();
    await keepImages(store.assets, result);
    const job = buildJob({ result, retentionMs: 20_000 });
    await submitted(store.jobs, buildSubmission([job], { request }));
    await store.jobs.removeExpired(at(19), 100, never);
    expect(await store.jobs.findRepeat("", request, false, never)).toMatchObject({ jobs: [{ id: job.id }] });
    await store.jobs.removeExpired(at(20), 100, never);
    expect(await store.jobs.findRepeat("", request, false, never)).toBeUndefined();

    await submitted(store.jobs, buildSubmission([buildJob({ ...job, id: randomUUID() })], { request }));
    const [found] = await store.jobs.list("", all, 1, never);
    await store.jobs.remove("", found?.id ?? "", never);
    await store.jobs.removeExpired(at(9), 100, never);
    const taken = { type: "repeated", jobs: [], batchId: undefined };
    expect(await store.jobs.findRepeat("", request, false, never)).toEqual(taken);
    await store.jobs.removeExpired(at(10), 100, never);
    expect(await store.jobs.findRepeat("", request, false, never)).toBeUndefined();
  });

  it("knows everything again after a restart", async () => {
    await using store = await open();
    const request = buildRequest("r1");
    const jobs = [buildJob({ labels: { a: "b" }, note: "n" }), buildJob(), buildJob(), buildJob()];
    const submission = buildSubmission(jobs, { request });
    await submitted(store.jobs, submission);
    const held = await lease(store.jobs);
    const claims = await store.jobs.claim(held, 3, randomUUID, never);
    const [a, b, c] = claims.map(({ job }) => job.id);
    const writes = [buildWrite(a ?? "", held, [started()]), buildWrite(b ?? "", held, [queuedAgain(2)])];
    const outcomes = await store.jobs.record(writes, never);
    await store.jobs.stop({ jobId: c ?? "", failure: buildFailure("JOB_TIMEOUT") }, never);
    const before = await store.jobs.list("", all, 10, never);
    const events = await Promise.all(jobs.map(({ id }) => store.jobs.readEvents(id, 0n, never)));
    await finish(store.jobs, held, c ?? "", {
      type: "failed",
      state: "failed",
      failure: buildFailure("JOB_TIMEOUT"),
    });

    const again = await store.reopen();
    const after = await again.list("", all, 10, never);
    expect(after.filter(({ id }) => id !== c)).toEqual(before.filter(({ id }) => id !== c));
    const kept = await Promise.all(jobs.map(({ id }) => again.readEvents(id, 0n, never)));
    expect(kept.flat()).toEqual(expect.arrayContaining(events.flat()));
    expect(await again.findRepeat("", request, false, never)).toMatchObject({ batchId: submission.batchId });
    expect(await again.record(writes, never)).toEqual(outcomes);
    await again.releaseLease(held, never);
    const next = await lease(again, "gpu-1", "next");
    expect(next.token).toBeGreaterThan(held.token);
    expect((await again.adopt(next, never)).map(({ id }) => id)).toEqual([a]);
  });
}
