import { randomUUID } from "node:crypto";
import { expect, it } from "vitest";
import {
  at,
  buildFailure,
  buildJob,
  buildSubmission,
  buildWrite,
  claimOne,
  lease,
  never,
  queuedAgain,
  running,
  started,
  stopped,
  submitEach,
  submitted,
} from "./job-builders.ts";
import type { TestStore } from "./store-home.ts";

/** Leases, `claim` and `adopt`. */
export function claiming(open: () => Promise<TestStore>): void {
  it("gives a lease to one owner at a time", async () => {
    await using store = await open();
    const taken = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        (i % 2 ? store.jobs : store.other).acquireLease("gpu-1", `owner-${i}`, 60_000, never),
      ),
    );
    const [held, ...more] = taken.filter((each) => each !== undefined);
    expect(more).toEqual([]);
    expect(held).toMatchObject({ backend: "gpu-1", token: 1 });
    expect(await store.jobs.acquireLease("gpu-1", held?.owner ?? "", 60_000, never)).toBeUndefined();
    expect(await store.jobs.acquireLease("gpu-2", "owner-x", 60_000, never)).toMatchObject({ token: 1 });
  });

  it("gives a lease that has run out or was given back to the next one, under a higher token", async () => {
    await using store = await open();
    const tokens: number[] = [];
    for (let i = 0; i < 3; i++) {
      const late = await lease(store.jobs, "gpu-1", "late", 0);
      const prompt = await lease(store.other, "gpu-1", "prompt");
      tokens.push(late.token, prompt.token);
      await store.jobs.releaseLease(late, never); // it is not its own any more
      expect(await store.jobs.acquireLease("gpu-1", "third", 60_000, never)).toBeUndefined();
      await store.jobs.releaseLease(prompt, never);
      await store.jobs.releaseLease(prompt, never);
    }
    expect(tokens).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it("renews a lease, also one that has run out, until another owner has it", async () => {
    await using store = await open();
    const late = await lease(store.jobs, "gpu-1", "late", 0);
    expect(await store.jobs.renewLease(late, 60_000, never)).toBe(true);
    expect(await store.other.acquireLease("gpu-1", "next", 60_000, never)).toBeUndefined();
    expect(await store.jobs.renewLease(late, 0, never)).toBe(true);
    const next = await lease(store.other, "gpu-1", "next", 0);
    expect(await store.jobs.renewLease(late, 60_000, never)).toBe(false);
    await store.other.releaseLease(next, never);
    expect(await store.other.renewLease(next, 60_000, never)).toBe(false);
  });

  it("gives the oldest jobs first, those of a batch by their index, and makes an attempt of each", async () => {
    await using store = await open();
    const [c, a] = await submitEach(store.jobs, [
      buildJob({ createTime: at(3) }),
      buildJob({ createTime: at(1) }),
    ]);
    const batch = await submitted(
      store.jobs,
      buildSubmission([1, 2, 3].map(() => buildJob({ createTime: at(2) }))),
    );
    const held = await lease(store.jobs);
    expect(await store.jobs.claim(held, 0, randomUUID, never)).toEqual([]);
    let prompts = 0;
    const claims = await store.jobs.claim(held, 4, () => `prompt-${++prompts}`, never);
    expect(claims.map(({ job }) => job.id)).toEqual([a, ...batch].map((job) => job?.id));
    for (const [i, { job, isRepeat, leftBehind }] of claims.entries()) {
      const attempt = { number: 1, promptId: `prompt-${i + 1}`, backend: "gpu-1", fate: "open" };
      expect(job).toEqual({ ...[a, ...batch][i], state: "running", attempt });
      expect([isRepeat, leftBehind]).toEqual([false, undefined]);
      expect(await store.other.get("", job.id, never)).toEqual(job);
    }
    expect((await store.other.claim(held, 4, randomUUID, never)).map(({ job }) => job.id)).toEqual([c?.id]);
    expect(await store.other.claim(held, 4, randomUUID, never)).toEqual([]);
  });

  it("gives each job to one of many claimers", async () => {
    await using store = await open();
    const jobs = Array.from({ length: 60 }, (_, i) => buildJob({ createTime: at(i) }));
    await submitEach(store.jobs, jobs);
    const claimers = await Promise.all(
      Array.from({ length: 12 }, async (_, i) => {
        const on = i % 2 ? store.jobs : store.other;
        return { on, held: await lease(on, `gpu-${i % 4}`, `owner-${i}`, 60_000).catch(() => undefined) };
      }),
    );
    const claims = await Promise.all(
      claimers.flatMap(({ on, held }) =>
        held ? Array.from({ length: 6 }, () => on.claim(held, 3, randomUUID, never)) : [],
      ),
    );
    const given = claims.flat().map(({ job }) => job.id);
    expect(new Set(given).size).toBe(given.length);
    const left = await store.jobs.list("", { states: ["queued"], labels: {} }, 100, never);
    expect(new Set([...given, ...left.map(({ id }) => id)])).toEqual(new Set(jobs.map(({ id }) => id)));
    expect(given.length).toBeGreaterThanOrEqual(jobs.length - 3 * 4); // who loses a race may come back with less
  });

  it("gives nothing under a lease that has run out, was given back, or is another owner's", async () => {
    await using store = await open();
    await submitEach(store.jobs, [buildJob()]);
    const late = await lease(store.jobs, "gpu-1", "late", 0);
    expect(await store.jobs.claim(late, 1, randomUUID, never)).toEqual([]);
    const next = await lease(store.jobs, "gpu-1", "next");
    expect(await store.jobs.claim(late, 1, randomUUID, never)).toEqual([]);
    expect(await store.jobs.claim({ ...next, owner: "late" }, 1, randomUUID, never)).toEqual([]);
    expect(await store.jobs.adopt(late, never)).toEqual([]);
    await store.jobs.releaseLease(next, never);
    expect(await store.jobs.claim(next, 1, randomUUID, never)).toEqual([]);
    expect(await store.jobs.adopt(next, never)).toEqual([]);
    expect(await store.jobs.counts(never)).toEqual({ queued: 1, running: 0 });
  });

  it("gives an attempt of unknown fate to the same backend again, as it was", async () => {
    await using store = await open();
    const held = await lease(store.jobs);
    const { id, attempt } = await running(store.jobs, held);
    const back = [queuedAgain(2)];
    await store.jobs.record([buildWrite(id, held, back, { attemptFate: "unknown" })], never);
    expect(await store.jobs.get("", id, never)).toMatchObject({ attempt: { ...attempt, fate: "unknown" } });
    const claim = await claimOne(store.other, held);
    expect(claim).toMatchObject({ isRepeat: true, job: { id, state: "running", attempt } });
    expect(claim.leftBehind).toBeUndefined();
  });

  it("tells another backend where an attempt of unknown fate was left behind", async () => {
    await using store = await open();
    const held = await lease(store.jobs);
    const { id, attempt } = await running(store.jobs, held);
    const back = [queuedAgain(2)];
    await store.jobs.record([buildWrite(id, held, back, { attemptFate: "unknown" })], never);
    const claim = await claimOne(store.jobs, await lease(store.jobs, "gpu-2"));
    expect(claim).toMatchObject({
      isRepeat: false,
      leftBehind: { backend: "gpu-1", promptId: attempt?.promptId },
      job: { attempt: { number: 2, backend: "gpu-2", fate: "open" } },
    });
    expect(claim.job.attempt?.promptId).not.toBe(attempt?.promptId);
  });

  it("makes a new attempt of one that is gone, on whatever backend", async () => {
    await using store = await open();
    const held = await lease(store.jobs);
    const { id, attempt } = await running(store.jobs, held);
    await store.jobs.record([buildWrite(id, held, [queuedAgain(2)], { attemptFate: "gone" })], never);
    const claim = await claimOne(store.jobs, held);
    expect(claim).toMatchObject({ isRepeat: false, job: { attempt: { number: 2, fate: "open" } } });
    expect(claim.leftBehind).toBeUndefined();
    expect(claim.job.attempt?.promptId).not.toBe(attempt?.promptId);
  });

  it("hands all jobs of a backend over to who takes its lease, and refuses writes of who had it", async () => {
    await using store = await open();
    const paused = await lease(store.jobs, "gpu-1", "paused");
    const elsewhere = await running(store.jobs, await lease(store.jobs, "gpu-2", "paused"));
    const [runs, ends] = [await running(store.jobs, paused), await running(store.jobs, paused)];
    await submitEach(store.jobs, [buildJob()]);
    const stopping = await store.jobs.stop({ jobId: ends.id, failure: buildFailure("JOB_TIMEOUT") }, never);
    await store.jobs.renewLease(paused, 0, never);

    const next = await lease(store.other, "gpu-1", "next");
    expect(await written(paused, started())).toBe("taken"); // not adopted yet: nobody else drives it
    const adopted = await store.other.adopt(next, never);
    const inOrder = [runs.id, ends.id].sort();
    expect(adopted.map(({ id }) => id).sort()).toEqual(inOrder);
    expect(adopted).toContainEqual(stopping?.job);
    expect(await written(paused, started())).toBe("refused");
    expect(await store.jobs.claim(paused, 5, randomUUID, never)).toEqual([]);
    expect(await written(next, started())).toBe("taken");
    expect(await store.other.adopt(next, never)).toHaveLength(2); // again, with no harm
    expect(await store.jobs.get("", elsewhere.id, never)).toEqual(elsewhere);

    async function written(held: typeof next, data: ReturnType<typeof started>) {
      return (await store.jobs.record([buildWrite(runs.id, held, [data])], never))[0]?.type;
    }
  });

  it("adopts nothing that has ended or waits again", async () => {
    await using store = await open();
    const held = await lease(store.jobs);
    const [a, b] = [await running(store.jobs, held), await running(store.jobs, held)];
    await store.jobs.record([buildWrite(a.id, held, [queuedAgain(2)], { attemptFate: "gone" })], never);
    await store.jobs.stop({ jobId: b.id, failure: buildFailure("CANCELLED_BY_REQUEST") }, never);
    await store.jobs.record([buildWrite(b.id, held, [stopped()])], never);
    expect(await store.jobs.adopt(held, never)).toEqual([]);
  });

  it("leaves no job behind when claims race with a change of hands", async () => {
    await using store = await open();
    await submitEach(
      store.jobs,
      Array.from({ length: 20 }, (_, i) => buildJob({ createTime: at(i) })),
    );
    const old = await lease(store.jobs, "gpu-1", "old");
    const [claims, next, adopted] = await Promise.all([
      Promise.all(Array.from({ length: 10 }, () => store.jobs.claim(old, 1, randomUUID, never))),
      ...takeOver(),
    ]);
    const late = await store.jobs.claim(old, 1, randomUUID, never);
    expect(late).toEqual([]);
    const known = (await adopted).map(({ id }) => id);
    expect(known.sort()).toEqual(
      claims
        .flat()
        .map(({ job }) => job.id)
        .sort(),
    );
    expect(next.token).toBe(old.token + 1);

    function takeOver() {
      const taken = (async () => {
        await store.other.releaseLease(old, never);
        return await lease(store.other, "gpu-1", "next");
      })();
      return [taken, taken.then((held) => store.other.adopt(held, never))] as const;
    }
  });
}
