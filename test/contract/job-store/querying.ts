import { randomUUID } from "node:crypto";
import { expect, it } from "vitest";
import type { JobFilter, JobStore } from "../../../src/storage/job-store.ts";
import { buildGeneration } from "../../support/generations.ts";
import {
  all,
  at,
  buildFailure,
  buildJob,
  buildResult,
  buildSubmission,
  claimOne,
  completed,
  finish,
  lease,
  never,
  running,
  submitEach,
  submitted,
} from "./job-builders.ts";
import type { TestStore } from "./store-home.ts";

/** `get`, `list`, `getBatch`, `readEvents`, `findReusable`, `placesOf`, `counts`. */
export function querying(open: () => Promise<TestStore>): void {
  it("knows nothing of what there is not", async () => {
    await using store = await open();
    const id = randomUUID();
    expect(await store.jobs.get("", id, never)).toBeUndefined();
    expect(await store.jobs.getBatch("", id, never)).toBeUndefined();
    expect(await store.jobs.readEvents(id, 0n, never)).toBeUndefined();
    expect(await store.jobs.list("", all, 10, never)).toEqual([]);
    expect(await store.jobs.findReusable("", "key", at(0), never)).toBeUndefined();
    expect(await store.jobs.counts(never)).toEqual({ queued: 0, running: 0 });
    expect(await store.jobs.placesOf([id], never)).toEqual(new Map());
    expect(await store.jobs.placesOf([], never)).toEqual(new Map());
    expect(await store.jobs.record([], never)).toEqual([]);
    await store.jobs.attach(id, never);
    expect(await store.jobs.detach(id, never)).toBeUndefined();
    expect(await store.jobs.stop({ jobId: id, failure: buildFailure("INTERNAL") }, never)).toBeUndefined();
    expect(await store.jobs.remove("", id, never)).toBe("absent");
  });

  it("answers a check, and does so again", async () => {
    await using store = await open();
    await store.jobs.check(never);
    await Promise.all([store.jobs.check(never), store.other.check(never)]);
  });

  it("shows a tenant its own jobs only", async () => {
    await using store = await open();
    const submission = buildSubmission([buildJob({ labels: { a: "b" } }), buildJob()], { tenant: "a" });
    const [job] = await submitted(store.jobs, submission);
    expect(await store.jobs.get("b", job?.id ?? "", never)).toBeUndefined();
    expect(await store.jobs.getBatch("b", submission.batchId ?? "", never)).toBeUndefined();
    expect(await store.jobs.list("b", { ...all, labels: { a: "b" } }, 10, never)).toEqual([]);
    expect(await store.jobs.remove("b", job?.id ?? "", never)).toBe("absent");
    expect(await store.jobs.list("a", all, 10, never)).toHaveLength(2);
  });

  it("lists the newest first and finds by each filter, and by all together", async () => {
    await using store = await open();
    const batch = [
      buildJob({ createTime: at(4), labels: { team: "art", kind: "b" } }),
      buildJob({ createTime: at(4), labels: { team: "art" } }),
    ].sort((x, y) => (x.id < y.id ? 1 : -1));
    const single = [
      buildJob({ createTime: at(1), labels: { team: "art", kind: "a" } }),
      buildJob({ createTime: at(3), labels: { team: "art:", kind: "art" } }),
      buildJob({ createTime: at(2) }),
    ];
    await submitEach(store.jobs, single);
    const submission = buildSubmission(batch);
    await submitted(store.jobs, submission);
    const held = await lease(store.jobs);
    await finish(store.jobs, held, (await claimOne(store.jobs, held)).job.id);
    await claimOne(store.jobs, held);

    const [one, three, two] = single.map(({ id }) => id);
    const four = batch.map(({ id }) => id);
    const found = (filter: Partial<JobFilter>) => idsOf(store.other, { ...all, ...filter });
    expect(await found({})).toEqual([...four, three, two, one]);
    expect(await found({ states: ["succeeded"] })).toEqual([one]);
    expect(await found({ states: ["running", "succeeded"] })).toEqual([two, one]);
    expect(await found({ states: ["failed"] })).toEqual([]);
    expect(await found({ labels: { team: "art" } })).toEqual([...four, one]);
    expect(await found({ labels: { team: "art", kind: "a" } })).toEqual([one]);
    expect(await found({ labels: { team: "art", kind: "art" } })).toEqual([]);
    expect(await found({ createdFrom: at(2), createdBefore: at(4) })).toEqual([three, two]);
    expect(await found({ batchId: submission.batchId ?? "" })).toEqual(four);
    expect(
      await found({
        states: ["queued"],
        labels: { team: "art" },
        createdFrom: at(4),
        createdBefore: at(5),
        batchId: submission.batchId ?? "",
        after: { createTime: at(4), id: four[0] ?? "" },
      }),
    ).toEqual([four[1]]);
  });

  it("finds jobs by the template that they run, in any version or in one", async () => {
    await using store = await open();
    const jobOf = (name: string, version: number) =>
      buildJob({
        generation: { ...buildGeneration(), task: { type: "template", name, version, parameters: {} } },
        labels: version === 1 ? { first: "yes" } : {},
      });
    const jobs = [jobOf("poster", 1), jobOf("poster", 2), jobOf("card", 1), buildJob()].map((job, i) => ({
      ...job,
      createTime: at(i),
    }));
    await submitEach(store.jobs, jobs);
    const [one, two, card, drawn] = jobs.map(({ id }) => id);
    const held = await lease(store.jobs);
    await finish(store.jobs, held, (await claimOne(store.jobs, held)).job.id);
    const found = (filter: Partial<JobFilter>) => idsOf(store.other, { ...all, ...filter });
    expect(await found({})).toEqual([drawn, card, two, one]);
    expect(await found({ template: { name: "poster" } })).toEqual([two, one]);
    expect(await found({ template: { name: "poster", version: 1 } })).toEqual([one]);
    expect(await found({ template: { name: "poster", version: 3 } })).toEqual([]);
    expect(await found({ template: { name: "poste" } })).toEqual([]);
    expect(await found({ template: { name: "poster" }, states: ["succeeded"] })).toEqual([one]);
    expect(await found({ template: { name: "poster" }, labels: { first: "yes" } })).toEqual([one]);
  });

  it.each([
    ["all jobs", {}],
    ["jobs with a label", { labels: { page: "yes" } }],
    ["jobs in a state", { states: ["queued" as const] }],
  ])("pages through %s without losing or repeating one while others come and go", async (_, filter) => {
    await using store = await open();
    const labels = { page: "yes" };
    // Many of the same time, so that a page ends among them.
    const jobs = Array.from({ length: 23 }, (_, i) =>
      buildJob({ createTime: at(Math.floor(i / 7)), labels }),
    );
    await submitEach(store.jobs, jobs);
    const seen: string[] = [];
    let after: JobFilter["after"];
    for (;;) {
      const page = await store.jobs.list("", { ...all, ...filter, ...(after && { after }) }, 4, never);
      seen.push(...page.map(({ id }) => id));
      after = page.at(-1);
      if (page.length < 4) {
        break;
      }
      await submitEach(store.other, [buildJob({ createTime: at(100), labels })]);
      const failure = buildFailure("CANCELLED_BY_REQUEST");
      await store.other.stop({ jobId: seen[0] ?? "", failure }, never);
    }
    expect(seen).toHaveLength(jobs.length);
    expect(new Set(seen)).toEqual(new Set(jobs.map(({ id }) => id)));
  });

  it("reads the events after a number", async () => {
    await using store = await open();
    const [job] = await submitEach(store.jobs, [buildJob()]);
    const read = async (after: bigint) =>
      (await store.jobs.readEvents(job?.id ?? "", after, never))?.map(({ sequence }) => sequence);
    expect(await read(0n)).toEqual([1n, 2n]);
    expect(await read(1n)).toEqual([2n]);
    expect(await read(2n)).toEqual([]);
    expect(await read(2n ** 64n - 1n)).toEqual([]);
  });

  it("finds the newest job of a key that succeeded and is kept long enough", async () => {
    await using store = await open();
    const held = await lease(store.jobs);
    const succeed = async (seconds: number, retentionMs: number) => {
      const job = await running(store.jobs, held, { reuseKey: "k", createTime: at(seconds), retentionMs });
      return await finish(store.jobs, held, job.id);
    };
    const lasting = await succeed(0, 100_000);
    const brief = await succeed(1, 10_000);
    const failed = await running(store.jobs, held, { reuseKey: "k", createTime: at(2) });
    await finish(store.jobs, held, failed.id, {
      type: "failed",
      state: "failed",
      failure: buildFailure("NODE_FAILED"),
    });
    await submitEach(store.jobs, [buildJob({ reuseKey: "k", createTime: at(3) })]);

    expect(await store.other.findReusable("", "k", at(10), never)).toEqual(brief);
    expect(await store.other.findReusable("", "k", at(11), never)).toEqual(lasting);
    expect(await store.other.findReusable("", "k", at(101), never)).toBeUndefined();
    expect(await store.other.findReusable("a", "k", at(0), never)).toBeUndefined();
    expect(await store.other.findReusable("", "other", at(0), never)).toBeUndefined();
  });

  it("counts, and tells the places of queued jobs", async () => {
    await using store = await open();
    const held = await lease(store.jobs);
    const [a, b] = [await running(store.jobs, held), await running(store.jobs, held)];
    await finish(store.jobs, held, a.id, completed(buildResult()));
    const jobs = await submitEach(
      store.jobs,
      [3, 1, 2].map((seconds) => buildJob({ createTime: at(seconds) })),
    );
    const batch = await submitted(
      store.jobs,
      buildSubmission([1, 2].map(() => buildJob({ createTime: at(4) }))),
    );
    expect(await store.other.counts(never)).toEqual({ queued: 5, running: 1 });
    const ids = [...jobs, ...batch].map(({ id }) => id);
    expect(await store.other.placesOf([...ids, a.id, b.id, randomUUID()], never)).toEqual(
      new Map(ids.map((id, i) => [id, [3, 1, 2, 4, 5][i]])),
    );
    expect(await store.other.placesOf([ids[2] ?? ""], never)).toEqual(new Map([[ids[2], 2]]));
  });
}

async function idsOf(jobs: JobStore, filter: JobFilter): Promise<readonly string[]> {
  return (await jobs.list("", filter, 100, never)).map(({ id }) => id);
}
