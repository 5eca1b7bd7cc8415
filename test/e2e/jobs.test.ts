import { createHash, randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { watchRuns } from "../support/engine-runs.ts";
import { type FollowedEvents, followEvents } from "../support/followed-events.ts";
import { failureOf, type Json } from "../support/image-clients/image-client.ts";
import { untilJobs } from "../support/job-counts.ts";
import { expectNumbered, expectOrderedEvents, imagesIn, kindOf } from "../support/job-stream.ts";
import { type JsonClient, jsonClientKinds } from "../support/json-clients.ts";
import {
  badFieldsIn,
  errorInfoIn,
  type Image,
  type Job,
  parseCancelledJob,
  parseJob,
  parseJobList,
} from "../support/service-messages.ts";
import { type ServiceFixture, startServiceFixture } from "../support/start-service.ts";

const spec = { prompt: "a lighthouse", widthPx: 64, heightPx: 64, steps: 3 };
const longSpec = { ...spec, steps: 150 };

let fixture: ServiceFixture;

beforeAll(async () => {
  fixture = await startServiceFixture({ engine: { stepMs: 5 } });
});

afterAll(() => fixture?.[Symbol.asyncDispose]());

describe.each(jsonClientKinds)("with $name", ({ open }) => {
  let client: JsonClient;
  beforeAll(async () => {
    client = await open(fixture.url);
  });
  afterAll(() => client?.[Symbol.dispose]());

  const watch = (request: Json): FollowedEvents =>
    followEvents(client.stream("JobService/WatchJob", request, soon()));

  it("a job is submitted, watched, looked at, and its image fetched", async () => {
    const options = { labels: { project: "sea", "team/name": "" }, note: "for the cover" };
    const requestId = randomUUID();
    const submitted = parseJob(await client.call("JobService/SubmitJob", { spec, requestId, options }));
    expect(submitted).toMatchObject({ ...options, requestId, batchId: "" });
    expect(submitted.resolvedSpec).toMatchObject({ ...spec, sampler: "euler", seed: expect.any(String) });

    const { jobId } = submitted;
    const events = await watch({ jobId }).ended;
    expectOrderedEvents(events);
    expect(events[0]?.jobId).toBe(jobId);
    const announced = events.find(({ image }) => image)?.image?.image ?? expect.fail("no image");
    expect(announced.data).toHaveLength(0);

    const job = await getJob(client, jobId);
    expect(job).toMatchObject({ state: "JOB_STATE_SUCCEEDED", attemptCount: 1, backendName: "comfyui" });
    expect(job.lastSequence).toBe(events.at(-1)?.sequence);
    expect(job.images).toEqual([announced]);
    expect(job.result).toMatchObject({ jobId, images: [announced], resolvedSpec: submitted.resolvedSpec });
    expect(job.resolvedSpec).toEqual(submitted.resolvedSpec);
    for (const time of [job.createTime, job.startTime, job.endTime, job.expireTime]) {
      expect(time).toBeDefined();
    }
    expect(job.error).toBeUndefined();
    const data = await download(client, announced);
    expect(createHash("sha256").update(data).digest("hex")).toBe(announced.sha256);
  });

  it("an image is had by plain HTTP, whole, in part, and not again if it is there already", async () => {
    const { images } = await succeeded(client, spec);
    const image = images[0] ?? expect.fail("no image");
    const url = `${fixture.url}/assets/${image.assetId}`;
    const whole = await fetch(url);
    expect([whole.status, whole.headers.get("content-type")]).toEqual([200, "image/png"]);
    const data = Buffer.from(await whole.arrayBuffer());
    expect(createHash("sha256").update(data).digest("hex")).toBe(image.sha256);
    const part = await fetch(url, { headers: { range: "bytes=10-19" } });
    expect([part.status, part.headers.get("content-range")]).toEqual([206, `bytes 10-19/${data.length}`]);
    expect(Buffer.from(await part.arrayBuffer()).equals(data.subarray(10, 20))).toBe(true);
    const etag = whole.headers.get("etag") ?? expect.fail("no ETag");
    expect((await fetch(url, { headers: { "if-none-match": etag } })).status).toBe(304);
    expect((await fetch(`${fixture.url}/assets/${"0".repeat(64)}`)).status).toBe(404);
  });

  it("a download that broke off goes on from any byte", async () => {
    const { images } = await succeeded(client, { ...spec, widthPx: 640, heightPx: 512 });
    const image = images[0] ?? expect.fail("no image");
    const whole = await download(client, image);
    const offset = 300_000;
    expect((await download(client, image, { offset: `${offset}` })).equals(whole.subarray(offset))).toBe(
      true,
    );
    const piece = await download(client, image, { offset: "7", limitBytes: "11" });
    expect(piece.equals(whole.subarray(7, 18))).toBe(true);
    expect(await download(client, image, { offset: `${whole.length}` })).toHaveLength(0);
    const tooFar = download(client, image, { offset: `${whole.length + 1}` });
    expect(await reasonOf(tooFar)).toEqual(["out_of_range", "OFFSET_OUT_OF_RANGE"]);
  });

  it("a watch goes on after any event, and brings the same lasting ones each time", async () => {
    const { jobId, lastSequence } = await succeeded(client, spec);
    const all = await watch({ jobId }).ended;
    for (let after = 0n; after <= lastSequence; after++) {
      const events = await watch({ jobId, afterSequence: `${after}` }).ended;
      expect(events).toEqual(all.slice(Number(after)));
    }
    const beyond = watch({ jobId, afterSequence: `${lastSequence + 1n}` }).ended;
    expect(await reasonOf(beyond)).toEqual(["out_of_range", "OFFSET_OUT_OF_RANGE"]);
  });

  it("watches that join a job half-way miss nothing, and get its image inside if they want it", async () => {
    const heldSpec = { ...longSpec, steps: 60 };
    const { jobId } = parseJob(await client.call("JobService/SubmitJob", { spec: heldSpec }));
    const first = watch({ jobId });
    await first.reached(({ progress }) => (progress?.step ?? 0) > 2);
    const joined = [
      { after: 0n, events: watch({ jobId }) },
      { after: 2n, events: watch({ jobId, afterSequence: "2" }) },
    ];
    const withData = watch({ jobId, imageData: true });
    const lasting = (await first.ended).filter((event) => !isPassing(event));
    for (const { after, events } of joined) {
      const seen = await events.ended;
      expectNumbered(seen, after);
      expect(seen.filter((event) => !isPassing(event))).toEqual(lasting.slice(Number(after)));
    }
    expect(imagesIn(await withData.ended)).toHaveLength(1);
  });

  it("goes on when nobody watches, and can be watched by many", async () => {
    const { jobId } = parseJob(await client.call("JobService/SubmitJob", { spec: longSpec }));
    const leaving = new AbortController();
    const left = followEvents(client.stream("JobService/WatchJob", { jobId }, leaving.signal));
    await left.reached(({ progress }) => progress !== undefined);
    leaving.abort();
    await expect(left.ended).rejects.toThrow();
    const watches = await Promise.all(Array.from({ length: 20 }, () => watch({ jobId }).ended));
    for (const events of watches) {
      expect(events.at(-1)?.completed?.result.attemptCount).toBe(1);
    }
  });

  it("a job that fails says why to those who watch, and to those who ask", async () => {
    fixture.engine.faults.order({ type: "fail_node" });
    const { jobId } = parseJob(await client.call("JobService/SubmitJob", { spec }));
    const events = await watch({ jobId }).ended;
    expectNumbered(events);
    expect(events.at(-1)?.failed).toMatchObject({ state: "JOB_STATE_FAILED", error: { code: 9 } });
    const job = await getJob(client, jobId);
    expect(job).toMatchObject({ state: "JOB_STATE_FAILED", error: events.at(-1)?.failed?.error });
    expect(job.result).toBeUndefined();
  });

  it.each<[method: string, request: Json, code: string, reason: string]>([
    ["GetJob", { jobId: randomUUID() }, "not_found", "JOB_NOT_FOUND"],
    ["CancelJob", { jobId: randomUUID() }, "not_found", "JOB_NOT_FOUND"],
    ["DeleteJob", { jobId: randomUUID() }, "not_found", "JOB_NOT_FOUND"],
    ["GetBatch", { batchId: randomUUID() }, "not_found", "BATCH_NOT_FOUND"],
    ["CancelBatch", { batchId: randomUUID() }, "not_found", "BATCH_NOT_FOUND"],
    ["WatchJob", { jobId: randomUUID() }, "not_found", "JOB_NOT_FOUND"],
    ["WatchBatch", { batchId: randomUUID() }, "not_found", "BATCH_NOT_FOUND"],
  ])("%s knows only what there is", async (name, request, code, reason) => {
    const method = `JobService/${name}`;
    const call = name.startsWith("Watch")
      ? Array.fromAsync(client.stream(method, request, soon()))
      : client.call(method, request);
    expect(await reasonOf(call)).toEqual([code, reason]);
  });

  it.each<[method: string, request: Json, fields: readonly string[]]>([
    ["SubmitJob", {}, ["spec"]],
    ["SubmitJob", { spec: { prompt: " ", widthPx: 65 } }, ["spec.prompt", "spec.width_px"]],
    ["SubmitJob", { spec: { ...spec, allowReuse: true } }, ["spec.allow_reuse"]],
    ["SubmitJob", { spec, requestId: "a b" }, ["request_id"]],
    ["SubmitJob", { spec, options: { labels: { "a b": "" } } }, ['options.labels["a b"]']],
    [
      "SubmitJob",
      { spec, options: { labels: { a: "x".repeat(256) }, note: "x".repeat(1_001) } },
      ['options.labels["a"]', "options.note"],
    ],
    ["GetJob", { jobId: "1" }, ["job_id"]],
    ["WatchJob", { jobId: "" }, ["job_id"]],
    ["ListJobs", { pageSize: 101 }, ["page_size"]],
    ["ListJobs", { pageToken: "made-up" }, ["page_token"]],
    ["ListJobs", { filter: { batchId: "1" } }, ["filter.batch_id"]],
    ["ListJobs", { filter: { states: ["JOB_STATE_UNSPECIFIED"] } }, ["filter.states[0]"]],
  ])("%s names what is wrong: case %#", async (name, request, fields) => {
    const method = `JobService/${name}`;
    const call =
      name === "WatchJob"
        ? Array.fromAsync(client.stream(method, request, soon()))
        : client.call(method, request);
    const { code, details } = await failureOf(call);
    expect([code, errorInfoIn(details).reason]).toEqual(["invalid_argument", "INVALID_FIELD"]);
    expect(badFieldsIn(details)).toEqual(fields);
  });

  it("names that the backend does not have are refused before there is a job", async () => {
    const labels = { try: randomUUID() };
    const { code, details } = await failureOf(
      client.call("JobService/SubmitJob", {
        spec: { ...spec, model: "demo-sd16.safetensors" },
        options: { labels },
      }),
    );
    expect(code).toBe("invalid_argument");
    expect(errorInfoIn(details)).toMatchObject({
      reason: "MODEL_NOT_FOUND",
      metadata: { nearest: expect.stringContaining("demo-sd15.safetensors") },
    });
    expect((await list(client, { filter: { labels } })).jobs).toEqual([]);
  });
});

describe("the list of jobs", () => {
  let client: JsonClient;
  beforeAll(async () => {
    client = await openFetch();
  });

  it("has those that fit, the newest first, on pages that miss and repeat nothing", async () => {
    const labels = { list: randomUUID() };
    const ids: string[] = [];
    const submit = async (more: Json) => {
      const options = { labels: { ...labels, ...more } };
      const { jobId } = parseJob(await client.call("JobService/SubmitJob", { spec, options }));
      ids.unshift(jobId);
    };
    for (let i = 0; i < 7; i++) await submit({ parity: i % 2 === 0 ? "even" : "odd" });
    await untilJobs(fixture.url, {});

    const seen: string[] = [];
    let pageToken = "";
    do {
      const page = await list(client, { filter: { labels }, pageSize: 3, pageToken });
      expect(page.jobs.length).toBeLessThanOrEqual(3);
      for (const { jobId, result, resolvedSpec } of page.jobs) {
        seen.push(jobId);
        expect(result).toBeUndefined();
        expect(resolvedSpec.prompt).toBe(spec.prompt);
      }
      pageToken = page.nextPageToken;
      if (seen.length === 3) await submit({ parity: "late" }); // comes up on no later page
    } while (pageToken !== "");
    expect(seen).toEqual(ids.slice(1));

    const even = await list(client, { filter: { labels: { ...labels, parity: "even" } } });
    expect(even.jobs.map(({ jobId }) => jobId)).toEqual(ids.slice(1).filter((_, i) => i % 2 === 0));
    expect((await list(client, { filter: { labels: { list: "other" } } })).jobs).toEqual([]);
  });

  it("is filtered by state", async () => {
    const labels = { list: randomUUID() };
    const options = { labels };
    fixture.engine.faults.order({ type: "fail_node" });
    const failing = parseJob(await client.call("JobService/SubmitJob", { spec, options }));
    await ended(client, failing.jobId);
    const good = parseJob(await client.call("JobService/SubmitJob", { spec, options }));
    await ended(client, good.jobId);
    const idsIn = async (...states: readonly string[]) =>
      (await list(client, { filter: { labels, states } })).jobs.map(({ jobId }) => jobId);
    expect(await idsIn("JOB_STATE_FAILED")).toEqual([failing.jobId]);
    expect(await idsIn("JOB_STATE_SUCCEEDED")).toEqual([good.jobId]);
    expect(await idsIn("JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED")).toEqual([good.jobId, failing.jobId]);
    expect(await idsIn("JOB_STATE_QUEUED", "JOB_STATE_RUNNING")).toEqual([]);
  });

  it("is filtered by time: from the first, before the second", async () => {
    const labels = { list: randomUUID() };
    const jobs: Job[] = [];
    for (let i = 0; i < 3; i++) {
      const job = parseJob(await client.call("JobService/SubmitJob", { spec, options: { labels } }));
      await ended(client, job.jobId); // so that no two are made in one millisecond
      jobs.push(job);
    }
    const [first, second, third] = jobs;
    const idsOf = async (filter: Json) =>
      (await list(client, { filter: { labels, ...filter } })).jobs.map(({ jobId }) => jobId);
    expect(await idsOf({ createTimeFrom: second?.createTime })).toEqual([third?.jobId, second?.jobId]);
    expect(await idsOf({ createTimeBefore: second?.createTime })).toEqual([first?.jobId]);
    expect(await idsOf({ createTimeFrom: second?.createTime, createTimeBefore: third?.createTime })).toEqual([
      second?.jobId,
    ]);
  });

  it("has pages for the filter only that the first page had", async () => {
    const labels = { list: randomUUID() };
    for (let i = 0; i < 2; i++) {
      await client.call("JobService/SubmitJob", { spec, options: { labels } });
    }
    const { nextPageToken } = await list(client, { filter: { labels }, pageSize: 1 });
    expect(nextPageToken).not.toBe("");
    const { code, details } = await failureOf(list(client, { pageSize: 1, pageToken: nextPageToken }));
    expect([code, badFieldsIn(details)]).toEqual(["invalid_argument", ["page_token"]]);
  });
});

describe("cancelling a job", () => {
  it("in each of its states says in which it was, and stops what can be stopped", async () => {
    await using stage = await startServiceFixture({
      engine: { stepMs: 5 },
      env: { COMFYUI_MAX_IN_FLIGHT: "1" },
    });
    const runs = watchRuns(stage.engine);
    using client = await openFetch(stage.url);
    const cancel = async (jobId: string) =>
      parseCancelledJob(await client.call("JobService/CancelJob", { jobId }));
    stage.engine.faults.order({ type: "stall", classType: "KSampler", step: 3 });
    const running = parseJob(await client.call("JobService/SubmitJob", { spec: longSpec }));
    const watched = followEvents(client.stream("JobService/WatchJob", { jobId: running.jobId }, soon()));
    await watched.reached(({ progress }) => progress?.step === 2);
    const queued = parseJob(await client.call("JobService/SubmitJob", { spec }));
    const watchedQueued = followEvents(client.stream("JobService/WatchJob", { jobId: queued.jobId }, soon()));
    await watchedQueued.reached((event) => event.queued !== undefined);

    const ofQueued = await cancel(queued.jobId);
    expect(ofQueued).toMatchObject({
      foundState: "JOB_STATE_QUEUED",
      job: { state: "JOB_STATE_CANCELLED", error: { code: 1 } },
    });
    const eventsOfQueued = await watchedQueued.ended;
    expectNumbered(eventsOfQueued);
    expect(eventsOfQueued.at(-1)?.failed).toMatchObject({ state: "JOB_STATE_CANCELLED" });

    const ofRunning = await cancel(running.jobId);
    expect(ofRunning).toMatchObject({
      foundState: "JOB_STATE_RUNNING",
      job: { state: "JOB_STATE_CANCELLING", error: { code: 1 } },
    });
    expect((await cancel(running.jobId)).foundState).toBe("JOB_STATE_CANCELLING");
    stage.engine.faults.clear();
    const events = await watched.ended;
    expectNumbered(events);
    expect(events.map(kindOf).slice(-2)).toEqual(["cancelling", "failed"]);
    expect(runs.begun).toHaveLength(1);
    expect(runs.steps(runs.begun[0] ?? "")).toBeLessThan(10);

    for (const jobId of [running.jobId, queued.jobId]) {
      const before = await getJob(client, jobId);
      expect(await cancel(jobId)).toEqual({ job: before, foundState: "JOB_STATE_CANCELLED" });
    }
    const good = await succeeded(client, spec);
    expect(await cancel(good.jobId)).toMatchObject({
      job: { jobId: good.jobId, state: "JOB_STATE_SUCCEEDED", lastSequence: good.lastSequence },
      foundState: "JOB_STATE_SUCCEEDED",
    });
  });

  it("tells the call that waits for it", async () => {
    using client = await openFetch();
    const labels = { call: randomUUID() };
    const call = failureOf(client.call("ImageService/Generate", { spec: longSpec, options: { labels } }));
    let jobId = "";
    await expect
      .poll(async () => {
        jobId = (await list(client, { filter: { labels } })).jobs[0]?.jobId ?? "";
        return jobId;
      })
      .not.toBe("");
    await client.call("JobService/CancelJob", { jobId });
    const { code, details } = await call;
    expect(code).toBe("cancelled");
    expect(errorInfoIn(details)).toMatchObject({
      reason: "CANCELLED_BY_REQUEST",
      metadata: { job_id: jobId },
    });
  });
});

describe("deleting a job", () => {
  it("is refused before it has ended", async () => {
    using client = await openFetch();
    const { jobId } = parseJob(await client.call("JobService/SubmitJob", { spec: longSpec }));
    expect(await reasonOf(client.call("JobService/DeleteJob", { jobId }))).toEqual([
      "failed_precondition",
      "JOB_ACTIVE",
    ]);
    await client.call("JobService/CancelJob", { jobId });
    await ended(client, jobId);
    await client.call("JobService/DeleteJob", { jobId });
  });

  it("removes it, and leaves its request id taken", async () => {
    using client = await openFetch();
    const request = { spec, requestId: randomUUID(), options: { labels: { list: randomUUID() } } };
    const { jobId } = parseJob(await client.call("JobService/SubmitJob", request));
    await ended(client, jobId);
    await client.call("JobService/DeleteJob", { jobId });
    for (const method of ["GetJob", "CancelJob", "DeleteJob"]) {
      const call = client.call(`JobService/${method}`, { jobId });
      expect(await reasonOf(call)).toEqual(["not_found", "JOB_NOT_FOUND"]);
    }
    expect((await list(client, { filter: { labels: request.options.labels } })).jobs).toEqual([]);
    expect(await reasonOf(client.call("JobService/SubmitJob", request))).toEqual([
      "not_found",
      "JOB_NOT_FOUND",
    ]);
    const other = { ...request, spec: { ...spec, steps: 4 } };
    expect(await reasonOf(client.call("JobService/SubmitJob", other))).toEqual([
      "already_exists",
      "REQUEST_ID_REUSED",
    ]);
  });
});

function openFetch(url = fixture.url): Promise<JsonClient> {
  const kind = jsonClientKinds.find(({ name }) => name.startsWith("fetch")) ?? expect.fail("no fetch");
  return kind.open(url);
}

async function getJob(client: JsonClient, jobId: string): Promise<Job> {
  return parseJob(await client.call("JobService/GetJob", { jobId }));
}

async function list(client: JsonClient, request: Json) {
  return parseJobList(await client.call("JobService/ListJobs", request));
}

/** Watches a job to its end. */
async function ended(client: JsonClient, jobId: string): Promise<void> {
  await followEvents(client.stream("JobService/WatchJob", { jobId }, soon())).ended;
}

async function succeeded(client: JsonClient, wanted: Json): Promise<Job> {
  const { jobId } = parseJob(await client.call("JobService/SubmitJob", { spec: wanted }));
  await ended(client, jobId);
  const job = await getJob(client, jobId);
  expect(job.state).toBe("JOB_STATE_SUCCEEDED");
  return job;
}

const piece = z.object({
  asset: z.object({ assetId: z.string(), sha256: z.string() }).optional(),
  offset: z.coerce.number().default(0),
  data: z.base64().default(""),
});

async function download(client: JsonClient, { assetId }: Image, range: Json = {}): Promise<Buffer> {
  const messages = await Array.fromAsync(
    client.stream("AssetService/DownloadAsset", { assetId, ...range }, soon()),
  );
  const [head, ...pieces] = messages.map((message) => piece.parse(message));
  expect(head).toMatchObject({ asset: { assetId, sha256: assetId }, data: "" });
  let offset = Number(range.offset ?? 0);
  return Buffer.concat(
    pieces.map((each) => {
      const data = Buffer.from(each.data, "base64");
      expect(each.asset).toBeUndefined();
      expect(each.offset).toBe(offset);
      expect(data.length).toBeLessThanOrEqual(256 * 1024);
      offset += data.length;
      return data;
    }),
  );
}

async function reasonOf(call: Promise<unknown>): Promise<[code: string, reason: string]> {
  const { code, details } = await failureOf(call);
  return [code, errorInfoIn(details).reason];
}

function isPassing({ progress, preview, queued }: FollowedEvents["events"][number]): boolean {
  // Of the events of a job that runs at its first attempt, only the first `queued` lasts.
  return progress !== undefined || preview !== undefined || (queued !== undefined && queued.jobsAhead > 0);
}

function soon(): AbortSignal {
  return AbortSignal.timeout(25_000);
}
