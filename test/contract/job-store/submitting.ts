import { randomUUID } from "node:crypto";
import fc from "fast-check";
import { expect, it } from "vitest";
import type { GenerationPlan } from "../../../src/domain/generation-plan.ts";
import type { GraphValue } from "../../../src/domain/graph.ts";
import { buildGeneration } from "../../support/generations.ts";
import {
  all,
  at,
  buildJob,
  buildOutput,
  buildRequest,
  buildResult,
  buildSubmission,
  claimOne,
  finish,
  keepImages,
  keepInputs,
  lease,
  never,
  planWithInput,
  running,
  startTime,
  submitEach,
  submitted,
} from "./job-builders.ts";
import type { TestStore } from "./store-home.ts";

/** `submit` and `findRepeat`. */
export function submitting(open: () => Promise<TestStore>): void {
  it("takes in a job with all that was asked for, and gives it its first events", async () => {
    await using store = await open();
    const job = buildJob({ labels: { team: "art" }, note: "for the cover", attached: true });
    const [record] = await submitted(store.jobs, buildSubmission([job], { request: buildRequest("r1") }));

    const { attached: _, ...asked } = job;
    expect(record).toEqual({
      ...asked,
      tenant: "",
      requestId: "r1",
      state: "queued",
      lastSequence: 2n,
      images: [],
      outputs: [],
    });
    expect(await store.other.get("", job.id, never)).toEqual(record);
    expect(await store.other.readEvents(job.id, 0n, never)).toEqual([
      { sequence: 1n, time: startTime, data: { type: "accepted", generation: job.generation } },
      { sequence: 2n, time: startTime, data: { type: "queued", jobsAhead: 0, attempt: 1 } },
    ]);
  });

  it("keeps any text, number and graph as it is", async () => {
    await using store = await open();
    const text = fc.string({ unit: "binary", maxLength: 40 });
    // No workflow that is taken in has the other.
    const name = text.filter((each) => each !== "__proto__");
    // JSON cannot tell `5n` from `5`, nor 2^60 from its digits, and neither can ComfyUI.
    const number = fc.oneof(
      fc.maxSafeInteger(),
      fc.double({ noNaN: true, noDefaultInfinity: true }).filter((each) => !Number.isInteger(each)),
    );
    const { value } = fc.letrec<{ value: GraphValue }>((tie) => ({
      value: fc.oneof(
        { maxDepth: 3 },
        text,
        number,
        fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n }),
        fc.boolean(),
        fc.constant(null),
        fc.array(tie("value"), { maxLength: 3 }),
        fc.dictionary(name, tie("value"), { maxKeys: 3, noNullPrototype: true }),
      ),
    }));
    const seed = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
    await fc.assert(
      fc.asyncProperty(text, text, seed, value, async (prompt, note, seed, input) => {
        const generation = buildGeneration({ prompt, negativePrompt: note, seed });
        const plan: GenerationPlan = {
          graph: { "3": { class_type: prompt, inputs: { input }, _meta: { title: note } } },
          inputs: planWithInput.inputs,
          images: [{ seed, samplerNodeIds: ["3", "31"], saveNodeId: "9" }],
          keeps: "everything",
        };
        const labels = { a: prompt, "b.c/d-e_f": note };
        const job = buildJob({ generation, plan, note, labels });
        await keepInputs(store.assets, job);
        await submitEach(store.jobs, [job]);
        const record = await store.other.get("", job.id, never);
        expect(record).toMatchObject({ generation, plan, note, labels });
        const found = await store.other.list("", { ...all, labels }, 100, never);
        expect(found.map(({ id }) => id)).toContain(job.id);
      }),
      { numRuns: 50 },
    );
  });

  it("takes in a batch in its order, each job behind the one before", async () => {
    await using store = await open();
    await submitEach(store.jobs, [buildJob({ createTime: at(-1) }), buildJob({ createTime: at(5) })]);
    await claimOne(store.jobs, await lease(store.jobs));
    await submitEach(store.jobs, [buildJob({ createTime: at(-1) })]);
    const jobs = [buildJob(), buildJob(), buildJob()];
    const submission = buildSubmission(jobs, { request: buildRequest("r1") });
    const records = await submitted(store.jobs, submission);

    expect(records.map(({ id, batch }) => [id, batch])).toEqual(
      jobs.map(({ id }, index) => [id, { id: submission.batchId, index }]),
    );
    const batch = await store.other.getBatch("", submission.batchId ?? "", never);
    expect(batch).toEqual({
      id: submission.batchId,
      requestId: "r1",
      createTime: startTime,
      jobs: records,
    });
    const first = await Promise.all(jobs.map(({ id }) => store.jobs.readEvents(id, 1n, never)));
    // One runs, one is older, and one that has a later time does not count.
    expect(first.map((events) => events?.[0]?.data)).toEqual(
      [2, 3, 4].map((jobsAhead) => ({ type: "queued", jobsAhead, attempt: 1 })),
    );
  });

  it("makes one job of 50 equal submissions at once", async () => {
    await using store = await open();
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        (i % 2 ? store.jobs : store.other).submit(
          buildSubmission([buildJob({ attached: true })], { request: buildRequest("r1") }),
          never,
        ),
      ),
    );
    const accepted = outcomes.filter(({ type }) => type === "accepted");
    expect(accepted).toHaveLength(1);
    const [kept, ...more] = await store.jobs.list("", all, 100, never);
    expect(more).toEqual([]);
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({ jobs: [{ id: kept?.id }] });
    }
    expect(outcomes.filter(({ type }) => type === "repeated")).toHaveLength(49);
    expect(await store.jobs.detach(kept?.id ?? "", never)).toBe(49);
  });

  it("tells one of two different submissions at once under one request id that it conflicts", async () => {
    await using store = await open();
    const outcomes = await Promise.all(
      ["f", "g"].map((fingerprint, i) =>
        (i ? store.jobs : store.other).submit(
          buildSubmission([buildJob()], { request: buildRequest("r1", fingerprint) }),
          never,
        ),
      ),
    );
    expect(outcomes.map(({ type }) => type).sort()).toEqual(["accepted", "conflict"]);
    expect(await store.jobs.list("", all, 10, never)).toHaveLength(1);
  });

  it("keeps request ids of tenants apart", async () => {
    await using store = await open();
    const request = buildRequest("r1");
    await submitted(store.jobs, buildSubmission([buildJob()], { tenant: "a", request }));
    await submitted(store.jobs, buildSubmission([buildJob()], { tenant: "b", request }));
    expect(await store.jobs.findRepeat("c", request, false, never)).toBeUndefined();
  });

  it("answers a repeat with the jobs as they are by then, in their order, and without those removed", async () => {
    await using store = await open();
    const submission = buildSubmission([buildJob(), buildJob()], { request: buildRequest("r1") });
    const [first, second] = await submitted(store.jobs, submission);
    const held = await lease(store.jobs);
    await claimOne(store.jobs, held);
    const ended = await finish(store.jobs, held, first?.id ?? "");

    const { batchId } = submission;
    const repeat = buildSubmission([buildJob(), buildJob()], { request: buildRequest("r1") });
    expect(await store.other.submit(repeat, never)).toEqual({
      type: "repeated",
      jobs: [ended, second],
      batchId,
    });
    await store.jobs.remove("", ended.id, never);
    expect(await store.other.submit(repeat, never)).toEqual({ type: "repeated", jobs: [second], batchId });
  });

  it("finds a repeat beforehand, and counts the call that waits for it", async () => {
    await using store = await open();
    const request = buildRequest("r1");
    expect(await store.jobs.findRepeat("", request, true, never)).toBeUndefined();
    const [record] = await submitted(
      store.jobs,
      buildSubmission([buildJob({ attached: true })], { request }),
    );
    const id = record?.id ?? "";
    expect(await store.other.findRepeat("", request, true, never)).toEqual({
      type: "repeated",
      jobs: [record],
      batchId: undefined,
    });
    expect(await store.jobs.findRepeat("", { ...request, fingerprint: "g" }, true, never)).toEqual({
      type: "conflict",
    });
    await store.jobs.findRepeat("", request, false, never);
    expect(await store.jobs.detach(id, never)).toBe(1);
    expect(await store.jobs.detach(id, never)).toBe(0);
  });

  it("refuses what does not fit into the queue, whole, and leaves its request id free", async () => {
    await using store = await open();
    await submitEach(store.jobs, [buildJob(), buildJob()]);
    const jobs = [buildJob(), buildJob()];
    const submission = buildSubmission(jobs, { request: buildRequest("r1"), maxQueued: 3 });
    expect(await store.jobs.submit(submission, never)).toEqual({ type: "full", queuedCount: 2 });
    expect(await store.jobs.counts(never)).toEqual({ queued: 2, running: 0 });
    expect(await store.jobs.getBatch("", submission.batchId ?? "", never)).toBeUndefined();

    await claimOne(store.jobs, await lease(store.jobs)); // what runs is not queued
    expect(await store.jobs.submit(submission, never)).toMatchObject({ type: "accepted" });
    expect(await store.jobs.counts(never)).toEqual({ queued: 3, running: 1 });
  });

  it("ends a job at once that is made of an earlier result, even if the queue is full", async () => {
    await using store = await open();
    const result = buildResult(2, { reusedJobId: randomUUID(), outputs: [buildOutput(0)] });
    const job = buildJob({ result, retentionMs: 5_000 });
    await keepImages(store.assets, result);
    const [record] = await submitted(store.jobs, buildSubmission([job], { maxQueued: 0 }));
    expect(record).toMatchObject({
      state: "succeeded",
      lastSequence: 5n,
      images: result.images,
      outputs: result.outputs,
      result,
      endTime: startTime,
      expireTime: at(5),
    });
    expect(await store.other.get("", job.id, never)).toEqual(record);
    const events = await store.other.readEvents(job.id, 0n, never);
    expect(events?.map(({ sequence, data }) => [sequence, data.type])).toEqual([
      [1n, "accepted"],
      [2n, "image"],
      [3n, "image"],
      [4n, "output"],
      [5n, "completed"],
    ]);
    expect(events?.at(-1)?.data).toEqual({ type: "completed", result });
    expect(await store.jobs.claim(await lease(store.jobs), 5, randomUUID, never)).toEqual([]);
  });

  it("refuses a job that is made of an earlier result whose images are gone, or another tenant's", async () => {
    await using store = await open();
    const result = buildResult(2, { outputs: [buildOutput(0)] });
    await keepImages(store.assets, result, "b");
    await keepImages(store.assets, buildResult(2));
    const submission = buildSubmission([buildJob({ result })], { request: buildRequest("r1") });
    await expect(store.jobs.submit(submission, never)).rejects.toMatchObject({ reason: "ASSET_NOT_FOUND" });
    expect(await store.jobs.list("", all, 10, never)).toEqual([]);
    await keepImages(store.assets, result);
    expect(await store.other.submit(submission, never)).toMatchObject({ type: "accepted" });
  });

  it("keeps what a job reads as long as the job, and refuses a job that reads what is not there", async () => {
    await using store = await open();
    const job = buildJob({ plan: planWithInput, result: buildResult() });
    await keepImages(store.assets, buildResult());
    await keepInputs(store.assets, job, "b");
    const submission = buildSubmission([buildJob(), job]);
    await expect(store.jobs.submit(submission, never)).rejects.toMatchObject({ reason: "ASSET_NOT_FOUND" });
    expect(await store.jobs.list("", all, 10, never)).toEqual([]);
    await keepInputs(store.assets, job);
    await submitted(store.jobs, submission);

    const swept: string[] = [];
    const sweep = () => store.assets.sweep(at(10_000), 10, async (sha256) => void swept.push(sha256), never);
    const input = planWithInput.inputs[0]?.assetId ?? "";
    expect((await sweep()).assets).toBe(1); // that of the other tenant
    expect(await store.assets.get("", input, never)).toMatchObject({ id: input });
    expect(await store.jobs.remove("", job.id, never)).toBe("removed");
    expect((await sweep()).assets).toBe(2); // the image of its result too
    expect(await store.assets.get("", input, never)).toBeUndefined();
  });

  it("takes nothing in under a signal that was aborted before", async () => {
    await using store = await open();
    const reason = new Error("enough");
    const aborted = AbortSignal.abort(reason);
    await expect(store.jobs.submit(buildSubmission([buildJob()]), aborted)).rejects.toBe(reason);
    await expect(store.jobs.counts(aborted)).rejects.toBe(reason);
    await expect(store.jobs.record([], aborted)).rejects.toBe(reason);
    expect(await store.jobs.list("", all, 10, never)).toEqual([]);
  });

  it("stops waiting when its signal is aborted, and leaves a submission whole or undone", async () => {
    await using store = await open();
    const controllers = Array.from({ length: 20 }, () => new AbortController());
    const outcomes = controllers.map((controller, i) => {
      const jobs = [buildJob(), buildJob()];
      const outcome = store.jobs.submit(buildSubmission(jobs, { tenant: `${i}` }), controller.signal);
      return outcome.then(
        ({ type }) => type,
        (error: unknown) => error,
      );
    });
    await store.other.counts(never);
    for (const [i, controller] of controllers.entries()) {
      controller.abort(i);
    }
    for (const [i, outcome] of (await Promise.all(outcomes)).entries()) {
      const jobs = await store.jobs.list(`${i}`, all, 10, never);
      expect([outcome, jobs.length]).toSatisfy(
        ([end, count]) => (end === "accepted" && count === 2) || (end === i && (count === 0 || count === 2)),
      );
    }
    await running(store.jobs, await lease(store.jobs)); // nothing is locked
  });
}
