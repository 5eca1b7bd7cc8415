import { randomUUID } from "node:crypto";
import { expect, it } from "vitest";
import {
  at,
  buildFailure,
  buildJob,
  claimOne,
  finish,
  lease,
  never,
  running,
  startTime,
  stopped,
  submitEach,
} from "./job-builders.ts";
import type { TestStore } from "./store-home.ts";

/** `stop`, `attach`, `detach`, `remove`. */
export function stopping(open: () => Promise<TestStore>): void {
  it.each([
    ["CANCELLED_BY_REQUEST", "cancelled"],
    ["JOB_TIMEOUT", "expired"],
    ["NO_BACKEND", "failed"],
  ] as const)("ends a queued job that is stopped by %s as %s", async (reason, state) => {
    await using store = await open();
    const [job] = await submitEach(store.jobs, [buildJob({ retentionMs: 5_000 })]);
    const failure = buildFailure(reason);
    const id = job?.id ?? "";
    const event = { sequence: 3n, time: startTime, data: { type: "failed", state, failure } };
    const record = { ...job, state, failure, lastSequence: 3n, endTime: startTime, expireTime: at(5) };
    expect(await store.other.stop({ tenant: "", jobId: id, failure }, never)).toEqual({
      foundIn: "queued",
      job: record,
      events: [event],
    });
    expect(await store.jobs.get("", id, never)).toEqual(record);
    expect(await store.jobs.readEvents(id, 2n, never)).toEqual([event]);
    expect(await store.jobs.claim(await lease(store.jobs), 1, randomUUID, never)).toEqual([]);
  });

  it("asks for a running job to stop, once, and leaves one alone that has ended", async () => {
    await using store = await open();
    const held = await lease(store.jobs);
    const job = await running(store.jobs, held);
    const failure = buildFailure("CANCELLED_BY_REQUEST");
    const outcomes = await Promise.all(
      Array.from({ length: 8 }, (_, i) =>
        (i % 2 ? store.jobs : store.other).stop({ jobId: job.id, failure }, never),
      ),
    );
    const record = { ...job, state: "cancelling", failure, lastSequence: 3n };
    expect(outcomes.map((outcome) => outcome?.job)).toEqual(outcomes.map(() => record));
    expect(outcomes.map((outcome) => outcome?.foundIn).sort()).toEqual([
      ...Array(7).fill("cancelling"),
      "running",
    ]);
    expect(outcomes.flatMap((outcome) => outcome?.events ?? [])).toEqual([
      { sequence: 3n, time: startTime, data: { type: "cancelling", failure } },
    ]);
    const ended = await finish(store.jobs, held, job.id, stopped());
    const late = { jobId: job.id, failure: buildFailure("JOB_TIMEOUT") };
    expect(await store.jobs.stop(late, never)).toEqual({ foundIn: "cancelled", job: ended, events: [] });
  });

  it("does not stop the job of another tenant", async () => {
    await using store = await open();
    const [job] = await submitEach(store.jobs, [buildJob()]);
    const failure = buildFailure("CANCELLED_BY_REQUEST");
    expect(await store.jobs.stop({ tenant: "b", jobId: job?.id ?? "", failure }, never)).toBeUndefined();
    expect(await store.jobs.counts(never)).toEqual({ queued: 1, running: 0 });
  });

  it("counts the calls that wait for a job, and stops it only when none does", async () => {
    await using store = await open();
    const [job] = await submitEach(store.jobs, [buildJob({ attached: true })]);
    const jobId = job?.id ?? "";
    const stop = { jobId, failure: buildFailure("CANCELLED_BY_CALLER"), onlyIfUnattached: true };
    await Promise.all([store.jobs.attach(jobId, never), store.other.attach(jobId, never)]);
    expect(await store.jobs.detach(jobId, never)).toBe(2);
    expect(await store.other.detach(jobId, never)).toBe(1);
    expect(await store.jobs.stop(stop, never)).toEqual({ foundIn: "queued", job, events: [] });
    expect(await store.jobs.detach(jobId, never)).toBe(0);
    expect(await store.jobs.detach(jobId, never)).toBe(0);
    expect(await store.jobs.stop(stop, never)).toMatchObject({ job: { state: "cancelled" } });
    await store.jobs.attach(jobId, never); // too late
    expect(await store.jobs.detach(jobId, never)).toBeUndefined();
  });

  it("has nobody wait for a job that has ended", async () => {
    await using store = await open();
    const [job] = await submitEach(store.jobs, [buildJob({ attached: true })]);
    const jobId = job?.id ?? "";
    await store.jobs.attach(jobId, never);
    await store.jobs.stop({ jobId, failure: buildFailure("CANCELLED_BY_REQUEST") }, never);
    expect(await store.jobs.detach(jobId, never)).toBeUndefined();
  });

  it("stops a job although calls wait for it, if that is not asked for", async () => {
    await using store = await open();
    const [job] = await submitEach(store.jobs, [buildJob({ attached: true })]);
    const failure = buildFailure("CANCELLED_BY_REQUEST");
    expect(await store.jobs.stop({ jobId: job?.id ?? "", failure }, never)).toMatchObject({
      job: { state: "cancelled" },
    });
  });

  it("keeps the count of calls while the driver writes", async () => {
    await using store = await open();
    const held = await lease(store.jobs);
    await submitEach(store.jobs, [buildJob({ attached: true })]);
    const [{ job }] = await Promise.all([claimOne(store.jobs, held)]);
    await Promise.all(
      Array.from({ length: 10 }, async () => {
        await store.other.attach(job.id, never);
        await store.jobs.adopt(held, never);
      }),
    );
    expect(await store.jobs.detach(job.id, never)).toBe(10);
  });

  it("ends or claims a job when both are asked for at once, never half of each", async () => {
    await using store = await open();
    const held = await lease(store.jobs);
    const jobs = await submitEach(
      store.jobs,
      Array.from({ length: 20 }, (_, i) => buildJob({ createTime: at(i) })),
    );
    const failure = buildFailure("CANCELLED_BY_REQUEST");
    const [claims, stops] = await Promise.all([
      Promise.all(jobs.map(() => store.jobs.claim(held, 1, randomUUID, never))),
      Promise.all(jobs.map(({ id }) => store.other.stop({ jobId: id, failure }, never))),
    ]);
    const claimed = new Set(claims.flat().map(({ job }) => job.id));
    for (const [i, { id }] of jobs.entries()) {
      const foundIn = claimed.has(id) && stops[i]?.foundIn === "running" ? "running" : "queued";
      expect(stops[i]).toMatchObject({ foundIn });
      const state = foundIn === "running" ? "cancelling" : "cancelled";
      expect(await store.jobs.get("", id, never)).toMatchObject({ state });
      expect(claimed.has(id)).toBe(foundIn === "running");
    }
  });

  it("removes a job that has ended, with its events, and no other", async () => {
    await using store = await open();
    const held = await lease(store.jobs);
    const { id } = await running(store.jobs, held, { labels: { a: "b" } });
    const [queued] = await submitEach(store.jobs, [buildJob()]);
    expect(await store.jobs.remove("", id, never)).toBe("active");
    expect(await store.jobs.remove("", queued?.id ?? "", never)).toBe("active");
    await finish(store.jobs, held, id);
    const found = await Promise.all([store.jobs.remove("", id, never), store.other.remove("", id, never)]);
    expect(found.sort()).toEqual(["absent", "removed"]);
    expect(await store.jobs.get("", id, never)).toBeUndefined();
    expect(await store.jobs.readEvents(id, 0n, never)).toBeUndefined();
    expect(await store.jobs.list("", { states: [], labels: { a: "b" } }, 10, never)).toEqual([]);
    expect(await store.jobs.get("", queued?.id ?? "", never)).toEqual(queued);
  });
}
