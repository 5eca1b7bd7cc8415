import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { GenerateResponse } from "../../gen/comfyrpc/v1/image_service_pb.js";
import { JobState } from "../../gen/comfyrpc/v1/job_state_pb.js";
import { startService } from "../../src/app.ts";
import { readConfig } from "../../src/config/config.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import { type EngineRuns, watchRuns } from "../support/engine-runs.ts";
import type { SpecInit } from "../support/image-client.ts";
import { connectJobs, getJob, type JobClient, watchJob } from "../support/job-client.ts";
import { untilJobs } from "../support/job-counts.ts";
import { failureOf } from "../support/rpc-failure.ts";
import {
  type ServiceFixture,
  type ServiceFixtureOptions,
  startServiceFixture,
} from "../support/start-service.ts";

const spec: SpecInit = { prompt: "a heron", widthPx: 64, heightPx: 64, steps: 4 };
const longSpec: SpecInit = { ...spec, steps: 150 };

/** For calls that end by themselves; bounds them all the same. */
const bound = { timeoutMs: 25_000 };

describe("equal requests under one request_id", () => {
  it("at once, over several connections, are one job and one run", async () => {
    await using stage = await openStage();
    const clients = Array.from({ length: 5 }, () => connectJobs(stage.url));
    const request = { spec, requestId: randomUUID() };
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) => clients[i % 5]?.images.generate(request, bound)),
    );
    for (const client of clients) client[Symbol.dispose]();
    expect(stage.runs.begun).toHaveLength(1);
    const [first] = answers;
    for (const answer of answers) expect(answer).toEqual(first);
    expect((await stage.client.jobs.listJobs({})).jobs).toHaveLength(1);
  });

  it("one after the other are answered with the first job, as it is by then", async () => {
    await using stage = await openStage();
    const request = { spec, requestId: randomUUID(), options: { note: "n", labels: { a: "1", b: "2" } } };
    const { job: first } = await stage.client.jobs.submitJob(request);
    expect(first?.requestId).toBe(request.requestId);
    await watchJob(stage.client, first?.jobId ?? "").ended;
    const labels = { b: "2", a: "1" }; // the order of a map says nothing
    const { job: again } = await stage.client.jobs.submitJob({ ...request, options: { note: "n", labels } });
    expect(again).toMatchObject({ jobId: first?.jobId, state: JobState.SUCCEEDED });
    expect(again).toEqual(await getJob(stage.client, first?.jobId ?? ""));
    expect(stage.runs.begun).toHaveLength(1);
  });

  it("are streamed the same events, in one piece", async () => {
    await using stage = await openStage();
    const request = { spec: { ...spec, output: { inlineLimitBytes: 10 } }, requestId: randomUUID() };
    const streams = await Promise.all(
      Array.from({ length: 5 }, () =>
        Array.fromAsync(stage.client.images.generateWithProgress(request, bound)),
      ),
    );
    streams.push(await Array.fromAsync(stage.client.images.generateWithProgress(request, bound)));
    const lasting = streams.map((messages) =>
      messages.flatMap(({ event }) =>
        ["progress", "queued"].includes(event?.event.case ?? "") ? [] : (event ?? []),
      ),
    );
    for (const events of lasting) {
      expect(events).toEqual(lasting[0]);
    }
    expect(stage.runs.begun).toHaveLength(1);
  });

  it("after a failure are answered with that failure, and run nothing", async () => {
    await using stage = await openStage();
    stage.engine.faults.order({ type: "fail_node" });
    const request = { spec, requestId: randomUUID() };
    const first = await failureOf(stage.client.images.generate(request, bound));
    const again = await failureOf(stage.client.images.generate(request, bound));
    expect(first).toMatchObject({ code: "FailedPrecondition", reason: "NODE_FAILED" });
    expect(again).toMatchObject({
      code: first.code,
      reason: first.reason,
      message: first.message,
      nodes: first.nodes,
      metadata: { job_id: first.metadata.job_id },
    });
    expect(stage.runs.begun).toHaveLength(1);
  });

  it("are answered after a restart of the service as before", async () => {
    await using stage = await openStage();
    const request = { spec, requestId: randomUUID() };
    const first = await stage.client.images.generate(request, bound);
    await stage.service[Symbol.asyncDispose]();
    await using service = await startService(
      readConfig({
        COMFYUI_URL: stage.engine.url,
        COMFYRPC_PORT: "0",
        COMFYRPC_DATA_DIR: stage.dataDirectory,
      }),
      createLogger({ level: "silent" }),
    );
    using client = connectJobs(service.url);
    expect(await client.images.generate(request, bound)).toEqual(first);
    const other = client.images.generate({ ...request, spec: longSpec }, bound);
    expect(await failureOf(other)).toMatchObject({ reason: "REQUEST_ID_REUSED" });
    expect(stage.runs.begun).toHaveLength(1);
  });

  it("are answered while no backend is up", async () => {
    await using stage = await openStage();
    const request = { spec, requestId: randomUUID() };
    const first = await stage.client.images.generate(request, bound);
    await stage.engine[Symbol.asyncDispose]();
    expect(await stage.client.images.generate(request, bound)).toEqual(first);
  });
});

describe("another request under a request_id that is taken", () => {
  it("is refused, whatever it is that differs, and harms the first in nothing", async () => {
    await using stage = await openStage();
    const { images, jobs } = stage.client;
    const request = { spec, requestId: randomUUID(), options: { note: "n" } };
    const first = images.generate(request, bound);
    await untilJobs(stage.url, { running: 1 });
    for (const call of [
      images.generate({ ...request, spec: { ...spec, steps: 5 } }, bound),
      images.generate({ ...request, spec: { ...spec, seed: 1n } }, bound),
      images.generate({ ...request, options: { note: "o" } }, bound),
      jobs.submitJob(request, bound),
      jobs.submitBatch({ source: { case: "specs", value: { specs: [spec] } }, requestId: request.requestId }),
      Array.fromAsync(images.generateWithProgress(request, bound)),
    ]) {
      expect(await failureOf(call)).toMatchObject({ code: "AlreadyExists", reason: "REQUEST_ID_REUSED" });
    }
    expect((await first).images).toHaveLength(1);
    expect(stage.runs.begun).toHaveLength(1);
  });
});

describe("a caller that is cut off", () => {
  it("comes back within the grace to the job that it had, in one run", async () => {
    await using stage = await openStage();
    const request = { spec: longSpec, requestId: randomUUID() };
    await leave(stage, request);
    expect((await stage.client.images.generate(request, bound)).images).toHaveLength(1);
    expect(stage.runs.begun).toHaveLength(1);
    expect(stage.runs.steps(stage.runs.begun[0] ?? "")).toBe(150);
  });

  it("and does not come back in time has its job stopped, and hears of that later", async () => {
    await using stage = await openStage({ env: { COMFYRPC_RECONNECT_SECONDS: "1" } });
    const request = { spec: { ...longSpec, imageCount: 4 }, requestId: randomUUID() };
    await leave(stage, request);
    await untilJobs(stage.url, {});
    expect(await failureOf(stage.client.images.generate(request, bound))).toMatchObject({
      code: "Canceled",
      reason: "CANCELLED_BY_CALLER",
    });
    expect(stage.runs.begun).toHaveLength(1);
    expect(stage.runs.steps(stage.runs.begun[0] ?? "")).toBeLessThan(600);
  });

  it("without a request_id has its job stopped at once", async () => {
    await using stage = await openStage({ env: { COMFYRPC_RECONNECT_SECONDS: "3600" } });
    await leave(stage, { spec: longSpec });
    await untilJobs(stage.url, {});
    expect(stage.runs.steps(stage.runs.begun[0] ?? "")).toBeLessThan(150);
  });

  it("and has detached finds its job done", async () => {
    await using stage = await openStage({ env: { COMFYRPC_RECONNECT_SECONDS: "0" } });
    await leave(stage, { spec: { ...longSpec, detach: true } });
    await untilJobs(stage.url, {});
    const { jobs } = await stage.client.jobs.listJobs({});
    expect(jobs).toMatchObject([{ state: JobState.SUCCEEDED }]);
  });

  it("does not stop the job while another call waits for it", async () => {
    await using stage = await openStage({ env: { COMFYRPC_RECONNECT_SECONDS: "0" } });
    const request = { spec: longSpec, requestId: randomUUID() };
    const other = connectJobs(stage.url);
    const leaving = failureOf(other.images.generate(request, bound));
    await untilJobs(stage.url, { running: 1 });
    const staying = stage.client.images.generate(request, bound);
    const refused = Array.fromAsync(stage.client.images.generateWithProgress(request, bound));
    expect(await failureOf(refused)).toMatchObject({ reason: "REQUEST_ID_REUSED" });
    other[Symbol.dispose]();
    expect((await leaving).code).toMatch(/Canceled|Unavailable|Internal/);
    expect((await staying).images).toHaveLength(1);
    expect(stage.runs.begun).toHaveLength(1);
  });
});

describe("images of an earlier job", () => {
  const again: SpecInit = { ...spec, seed: 7n, allowReuse: true };

  it("are the answer where that is allowed and the work is the same", async () => {
    await using stage = await openStage();
    const first = await stage.client.images.generate({ spec: { ...spec, seed: 7n } }, bound);
    const second = await stage.client.images.generate({ spec: again }, bound);
    expect(second.images).toEqual(first.images);
    expect(second.result?.reusedJobId).toBe(first.result?.jobId);
    expect(second.result?.jobId).not.toBe(first.result?.jobId);
    expect(first.result?.reusedJobId).toBe("");
    // Also where a reuse is reused it is named who drew them, and a stream tells of no run.
    const events = await Array.fromAsync(stage.client.images.generateWithProgress({ spec: again }, bound));
    expect(events.map(({ event }) => event?.event.case)).toEqual(["accepted", "image", "completed"]);
    const last = events.at(-1)?.event?.event;
    expect(last?.case === "completed" && last.value.result?.reusedJobId).toBe(first.result?.jobId);
    expect(stage.runs.begun).toHaveLength(1);
  });

  it("are the answer while no backend is up, and stay when the first job is deleted", async () => {
    await using stage = await openStage();
    const first = await stage.client.images.generate({ spec: again }, bound);
    await stage.engine[Symbol.asyncDispose]();
    const second = await stage.client.images.generate({ spec: again }, bound);
    expect(second.images).toEqual(first.images);
    await stage.client.jobs.deleteJob({ jobId: first.result?.jobId ?? "" });
    const third = await stage.client.images.generate({ spec: again }, bound);
    expect(third.images).toEqual(first.images);
    expect(third.result?.reusedJobId).not.toBe("");
    expect(stage.runs.begun).toHaveLength(1);
  });

  it.each<[string, SpecInit]>([
    ["for another seed", { ...again, seed: 8n }],
    ["for another prompt", { ...again, prompt: "a stork" }],
    ["for another format", { ...again, output: { format: 2 } }],
    ["without leave", { ...again, allowReuse: false }],
  ])("are not taken %s", async (_, other) => {
    await using stage = await openStage();
    const first = await stage.client.images.generate({ spec: again }, bound);
    const second: GenerateResponse = await stage.client.images.generate({ spec: other }, bound);
    expect(second.result?.reusedJobId).toBe("");
    expect(second.result?.jobId).not.toBe(first.result?.jobId);
    expect(stage.runs.begun).toHaveLength(2);
  });
});

interface Stage extends ServiceFixture {
  readonly client: JobClient;
  readonly runs: EngineRuns;
}

async function openStage(options: ServiceFixtureOptions = {}): Promise<Stage> {
  await using opened = new AsyncDisposableStack();
  const fixture = opened.use(await startServiceFixture({ engine: { stepMs: 10 }, ...options }));
  const runs = watchRuns(fixture.engine);
  const client = opened.use(connectJobs(fixture.url));
  const owned = opened.move();
  return { ...fixture, client, runs, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Makes a call and loses its connection as soon as the engine is at work for it. */
async function leave({ url, runs }: Stage, request: object): Promise<void> {
  const client = connectJobs(url);
  const call = client.images.generate(request, bound).catch((error: unknown) => error);
  await expect.poll(() => runs.steps(runs.begun[0] ?? ""), { timeout: 10_000 }).toBeGreaterThan(2);
  client[Symbol.dispose]();
  expect(await call).toBeInstanceOf(Error);
}
