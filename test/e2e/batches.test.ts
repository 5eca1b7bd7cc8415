import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { watchRuns } from "../support/engine-runs.ts";
import { type FollowedEvents, followEvents } from "../support/followed-events.ts";
import { failureOf, type Json } from "../support/image-clients/image-client.ts";
import { untilJobs } from "../support/job-counts.ts";
import { expectNumbered, imagesIn } from "../support/job-stream.ts";
import { type JsonClient, jsonClientKinds } from "../support/json-clients.ts";
import {
  type Batch,
  badFieldsIn,
  errorInfoIn,
  type JobEvent,
  parseBatch,
  parseCancelledBatch,
  parseJobList,
} from "../support/service-messages.ts";
import { type ServiceFixture, startServiceFixture } from "../support/start-service.ts";

const spec = { prompt: "a mill", widthPx: 64, heightPx: 64, steps: 2 };

let fixture: ServiceFixture;

beforeAll(async () => {
  fixture = await startServiceFixture({ engine: { stepMs: 5 }, env: { COMFYUI_MAX_IN_FLIGHT: "1" } });
});

afterAll(() => fixture?.[Symbol.asyncDispose]());

describe.each(jsonClientKinds)("a batch with $name", ({ open }) => {
  let client: JsonClient;
  beforeAll(async () => {
    client = await open(fixture.url);
  });
  afterAll(() => client?.[Symbol.dispose]());

  it("of a grid has a job for each combination, the last axis innermost, and runs in that order", async () => {
    const runs = watchRuns(fixture.engine);
    const begunBefore = runs.begun.length;
    const prompts = ["a mill", "a barn"];
    const samplers = ["euler", "heun"];
    const seeds = ["18446744073709551615", "1"];
    const options = { labels: { batch: randomUUID() }, note: "n" };
    const batch = await submit(client, {
      grid: { base: { ...spec, prompt: "" }, prompts, samplers, seeds },
      options,
    });
    expect(batch.jobs.map(({ resolvedSpec }) => resolvedSpec)).toMatchObject(
      prompts.flatMap((prompt) =>
        samplers.flatMap((sampler) => seeds.map((seed) => ({ prompt, sampler, seed }))),
      ),
    );
    for (const [batchIndex, job] of batch.jobs.entries()) {
      expect(job).toMatchObject({ ...options, batchId: batch.batchId, batchIndex });
    }
    const events = await watch(client, { batchId: batch.batchId }).ended;
    expectEachWhole(events, batch);
    const now = await get(client, batch.batchId);
    expect(now).toMatchObject({ ended: true, succeededCount: 8, failedCount: 0 });
    expect(now.jobs.every(({ result }) => result === undefined)).toBe(true);
    expect(runs.begun).toHaveLength(begunBefore + 8);
    // Their ends may be told in another: while one is being written, the next job runs.
    const starts = now.jobs.map(({ startTime }) => Date.parse(String(startTime)));
    expect(starts).toEqual(starts.toSorted((a, b) => a - b));
    const listed = parseJobList(
      await client.call("JobService/ListJobs", { filter: { batchId: batch.batchId } }),
    );
    expect(new Set(listed.jobs.map(({ jobId }) => jobId))).toEqual(
      new Set(batch.jobs.map(({ jobId }) => jobId)),
    );
  });

  it("whose jobs fare differently says so of each, and all go to their end", async () => {
    fixture.engine.faults.order({ type: "fail_node", classType: "VAEDecode" });
    const batch = await submit(client, {
      specs: { specs: [spec, { ...spec, prompt: "a barn" }, { ...spec, prompt: "a dyke" }] },
    });
    const events = await watch(client, { batchId: batch.batchId }).ended;
    expectEachWhole(events, batch);
    const { jobs, ended, succeededCount, failedCount } = await get(client, batch.batchId);
    expect({ ended, succeededCount, failedCount }).toEqual({
      ended: true,
      succeededCount: 2,
      failedCount: 1,
    });
    expect(jobs.map(({ state }) => state)).toEqual([
      "JOB_STATE_FAILED",
      "JOB_STATE_SUCCEEDED",
      "JOB_STATE_SUCCEEDED",
    ]);
    expect(jobs[0]?.error).toMatchObject({ code: 9 });
  });

  it("is watched on from where each of its jobs was, with the images inside if wanted", async () => {
    const { batchId, jobs } = await submit(client, { specs: { specs: [spec, spec, spec] } });
    const all = await watch(client, { batchId }).ended;
    const [first, second] = jobs;
    const after = { [first?.jobId ?? ""]: "3", [second?.jobId ?? ""]: `${lastOf(all, second?.jobId)}` };
    const again = await watch(client, { batchId, afterSequences: after, imageData: true }).ended;
    for (const { jobId } of jobs) {
      const events = again.filter((event) => event.jobId === jobId);
      expectNumbered(events, BigInt(after[jobId] ?? 0));
      expect(lastOf(again, jobId)).toBe(jobId === second?.jobId ? undefined : lastOf(all, jobId));
      expect(imagesIn(events)).toHaveLength(jobId === second?.jobId ? 0 : 1);
    }
    const beyond = watch(client, { batchId, afterSequences: { [first?.jobId ?? ""]: "999" } }).ended;
    expect(await reasonOf(beyond)).toEqual(["out_of_range", "OFFSET_OUT_OF_RANGE"]);
  });

  it("is cancelled as a whole, what runs and what waits, and nothing of it begins any more", async () => {
    const runs = watchRuns(fixture.engine);
    const begunBefore = runs.begun.length;
    const held = { ...spec, steps: 100 };
    const { batchId, jobs } = await submit(client, { specs: { specs: [held, held, held, held] } });
    const watched = watch(client, { batchId });
    await watched.reached(({ progress }) => progress !== undefined);
    const cancelled = parseCancelledBatch(await client.call("JobService/CancelBatch", { batchId }));
    expect(cancelled.foundStates).toEqual([
      "JOB_STATE_RUNNING",
      "JOB_STATE_QUEUED",
      "JOB_STATE_QUEUED",
      "JOB_STATE_QUEUED",
    ]);
    expect(cancelled.batch.jobs.map(({ jobId }) => jobId)).toEqual(jobs.map(({ jobId }) => jobId));
    expectEachWhole(await watched.ended, cancelled.batch);
    expect(await get(client, batchId)).toMatchObject({ ended: true, succeededCount: 0, failedCount: 4 });
    expect(runs.begun).toHaveLength(begunBefore + 1);
    expect(runs.steps(runs.begun.at(-1) ?? "")).toBeLessThan(100);
    const again = parseCancelledBatch(await client.call("JobService/CancelBatch", { batchId }));
    expect(new Set(again.foundStates)).toEqual(new Set(["JOB_STATE_CANCELLED"]));
  });

  it("is made once however often its request is repeated", async () => {
    const request = { specs: { specs: [spec, spec] }, requestId: randomUUID() };
    const batches = await Promise.all(Array.from({ length: 10 }, () => submit(client, request)));
    const ids = (batch: Batch) => [batch.batchId, ...batch.jobs.map(({ jobId }) => jobId)];
    expect(batches.map(ids)).toEqual(batches.map(() => ids(batches[0] ?? expect.fail())));
    const other = { ...request, specs: { specs: [spec] } };
    expect(await reasonOf(submit(client, other))).toEqual(["already_exists", "REQUEST_ID_REUSED"]);
  });

  const image = { assetId: "a".repeat(64) };
  const badGrid = { base: spec, steps: [2, 0, 151], cfgs: [7, 31] };

  it.each<[what: string, request: Json, fields: readonly string[]]>([
    ["nothing", {}, ["source"]],
    ["no spec", { specs: {} }, ["specs.specs"]],
    ["more than ten specs", { specs: { specs: Array(11).fill(spec) } }, ["specs.specs"]],
    ["a grid of more than ten", { grid: { base: spec, steps: [1, 2, 3, 4], cfgs: [5, 6, 7] } }, ["grid"]],
    ["a grid without a base", { grid: { steps: [1] } }, ["grid.base"]],
    ["a bad spec", { specs: { specs: [spec, { ...spec, widthPx: 65 }] } }, ["specs.specs[1].width_px"]],
    ["a bad base", { grid: { base: { ...spec, widthPx: 65 } } }, ["grid.base.width_px"]],
    ["bad values in a grid", { grid: badGrid }, ["grid.steps[1]", "grid.steps[2]", "grid.cfgs[1]"]],
    [
      "a spec without the image to draw over",
      { specs: { specs: [spec, { ...spec, inpaint: { mask: image } }] } },
      ["specs.specs[1].inpaint.image"],
    ],
    [
      "a base without the image to draw over",
      { grid: { base: { ...spec, inpaint: { mask: image } }, seeds: ["1", "2"] } },
      ["grid.base.inpaint.image"],
    ],
    [
      "a spec that says what has no effect",
      { specs: { specs: [spec, { prompt: "x", workflow: { json: "{}" } }] } },
      ["specs.specs[1].prompt"],
    ],
    [
      "a grid with values that have no effect",
      { grid: { base: { upscale: { image, factor: 2 } }, prompts: ["x"] } },
      ["grid.prompts[0]"],
    ],
  ])("of %s is refused, and names what is wrong", async (_, request, fields) => {
    const { code, details } = await failureOf(submit(client, request));
    expect([code, errorInfoIn(details).reason]).toEqual(["invalid_argument", "INVALID_FIELD"]);
    expect(new Set(badFieldsIn(details))).toEqual(new Set(fields));
  });

  it("is made whole or not at all", async () => {
    const labels = { batch: randomUUID() };
    const specs = [spec, spec, { ...spec, sampler: "none" }];
    const call = submit(client, { specs: { specs }, options: { labels } });
    expect(await reasonOf(call)).toEqual(["invalid_argument", "SAMPLER_NOT_FOUND"]);
    const listed = parseJobList(await client.call("JobService/ListJobs", { filter: { labels } }));
    expect(listed.jobs).toEqual([]);
  });
});

describe("a batch", () => {
  it("may be as large as configured, and waits as a whole for a queue with room", async () => {
    await using stage = await startServiceFixture({
      env: { COMFYRPC_MAX_BATCH: "100", COMFYRPC_MAX_QUEUED: "60", COMFYUI_MAX_IN_FLIGHT: "1" },
    });
    const kind = jsonClientKinds[1] ?? expect.fail();
    using client = await kind.open(stage.url);
    stage.engine.faults.order({ type: "stall" });
    await submit(client, { specs: { specs: Array(50).fill(spec) } });
    await untilJobs(stage.url, { running: 1, queued: 49 });
    const { code, details } = await failureOf(submit(client, { specs: { specs: Array(12).fill(spec) } }));
    expect([code, errorInfoIn(details).reason]).toEqual(["resource_exhausted", "QUEUE_FULL"]);
    expect(details.has("google.rpc.RetryInfo")).toBe(true);
    await untilJobs(stage.url, { running: 1, queued: 49 });
    stage.engine.faults.clear();
    await untilJobs(stage.url, {});
    await submit(client, { specs: { specs: Array(60).fill(spec) } });
    await untilJobs(stage.url, {});
  });

  it("is forgotten with the last of its jobs", async () => {
    const kind = jsonClientKinds[1] ?? expect.fail();
    using client = await kind.open(fixture.url);
    const { batchId, jobs } = await submit(client, { specs: { specs: [spec, spec] } });
    await watch(client, { batchId }).ended;
    const [first, second] = jobs.map(({ jobId }) => jobId);
    await client.call("JobService/DeleteJob", { jobId: first });
    expect((await get(client, batchId)).jobs.map(({ jobId }) => jobId)).toEqual([second]);
    await client.call("JobService/DeleteJob", { jobId: second });
    expect(await reasonOf(get(client, batchId))).toEqual(["not_found", "BATCH_NOT_FOUND"]);
  });
});

async function submit(client: JsonClient, request: Json): Promise<Batch> {
  return parseBatch(await client.call("JobService/SubmitBatch", request));
}

async function get(client: JsonClient, batchId: string): Promise<Batch> {
  return parseBatch(await client.call("JobService/GetBatch", { batchId }));
}

function watch(client: JsonClient, request: Json): FollowedEvents {
  return followEvents(client.stream("JobService/WatchBatch", request, AbortSignal.timeout(25_000)));
}

/** Expects that the events of each job of a batch are numbered as they should be, from the first to the last. */
function expectEachWhole(events: readonly JobEvent[], { jobs }: Batch): void {
  const byJob = Map.groupBy(events, ({ jobId }) => jobId);
  expect(new Set(byJob.keys())).toEqual(new Set(jobs.map(({ jobId }) => jobId)));
  for (const ofOne of byJob.values()) {
    expectNumbered(ofOne);
    expect(ofOne.at(-1)?.completed ?? ofOne.at(-1)?.failed).toBeDefined();
  }
}

/** The number of the last event of a job. */
function lastOf(events: readonly JobEvent[], jobId: string | undefined): bigint | undefined {
  return events.findLast((event) => event.jobId === jobId)?.sequence;
}

async function reasonOf(call: Promise<unknown>): Promise<[code: string, reason: string]> {
  const { code, details } = await failureOf(call);
  return [code, errorInfoIn(details).reason];
}
