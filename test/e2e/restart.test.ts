import { randomUUID } from "node:crypto";
import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import type { Job } from "../../gen/comfyrpc/v1/job_pb.js";
import { JobState } from "../../gen/comfyrpc/v1/job_state_pb.js";
import { type DemoEngine, startDemoEngine } from "../../src/engine/demo/demo-engine.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import { askEngine } from "../support/engine-account.ts";
import { type EngineRuns, watchRuns } from "../support/engine-runs.ts";
import type { SpecInit } from "../support/image-client.ts";
import {
  connectJobs,
  download,
  getJob,
  type JobClient,
  lastingNumbers,
  watchJob,
} from "../support/job-client.ts";
import { untilJobs } from "../support/job-counts.ts";
import { failureOf } from "../support/rpc-failure.ts";
import { failToStart, type ServiceProcess, startServiceProcess } from "../support/service-process.ts";
import { waitUntil } from "../support/wait-until.ts";

/** What becomes of jobs when the service, its engine or both end and start again. */

const steps = 12;
const spec: SpecInit = { prompt: "a windmill", widthPx: 64, heightPx: 64, steps };

/** Before this step of the first prompt the engine stands still until its faults are cleared. */
const heldStep = 5;

describe("a service that is killed while its engine works", () => {
  it.each([
    ["has ended the job", true],
    ["is still at it", false],
  ])(
    "gives the job its image without a second run, when it starts again and the engine %s",
    async (_, ends) => {
      await using stage = await openStage();
      const { engine, runs } = stage;
      let last = 0n;
      const jobId = await (async () => {
        await using first = await stage.start();
        const id = await submit(first.client, spec);
        const watch = watchJob(first.client, id);
        await watch.reached("nodeStarted");
        await untilHeld(stage);
        await first.kill();
        await expect(watch.ended).rejects.toThrow();
        last = watch.events.at(-1)?.sequence ?? 0n;
        return id;
      })();
      if (ends) {
        engine.faults.clear();
        await waitUntil(async () => (await askEngine(engine.url)).running.length === 0, "the engine is done");
      }
      await using second = await stage.start();
      const watch = watchJob(second.client, jobId, last);
      if (!ends) {
        await untilJobs(second.url, { running: 1 });
        engine.faults.clear();
      }
      const events = await watch.ended;
      expect(lastingNumbers(events, last).at(-1)).toBe((await getJob(second.client, jobId)).lastSequence);
      await expectDrawn(second.client, jobId, 1);
      expect(runs.begun).toHaveLength(1);
      expect(runs.steps(runs.begun[0] ?? "")).toBe(steps);
    },
  );

  it("goes on with all that it had: what ran, what was ready at the engine, what waited", async () => {
    await using stage = await openStage();
    const ids: string[] = [];
    {
      await using first = await stage.start();
      for (let i = 0; i < 6; i++) ids.push(await submit(first.client, { ...spec, seed: BigInt(i) }));
      await untilHeld(stage);
      await untilJobs(first.url, { running: 2, queued: 4 });
      await first.kill();
    }
    await using second = await stage.start();
    stage.engine.faults.clear();
    for (const id of ids) await expectDrawn(second.client, id, 1);
    expect(stage.runs.begun).toHaveLength(6);
    expect(new Set(stage.runs.begun).size).toBe(6);
  });

  it("still has the image that a waiting job came with", async () => {
    await using stage = await openStage();
    const data = await sharp({ create: { width: 64, height: 64, channels: 3, background: "teal" } })
      .png()
      .toBuffer();
    const image = { source: { case: "data" as const, value: data } };
    let waiting = "";
    {
      await using first = await stage.start({ COMFYUI_MAX_IN_FLIGHT: "1" });
      await submit(first.client, spec);
      await untilHeld(stage);
      waiting = await submit(first.client, { ...spec, start: { case: "imageToImage", value: { image } } });
      await first.kill();
    }
    await using second = await stage.start();
    stage.engine.faults.clear();
    await expectDrawn(second.client, waiting, 1);
    expect(stage.runs.begun).toHaveLength(2);
  });

  it("again and again, at any moment, loses and repeats nothing", async () => {
    await using stage = await openStage();
    stage.engine.faults.clear();
    const ids: string[] = [];
    // Killed as soon as each of these has happened to the first job that is not at its end.
    for (const kind of ["accepted", "started", "nodeStarted", "image"] as const) {
      await using service = await stage.start();
      ids.push(await submit(service.client, { ...spec, seed: BigInt(ids.length) }));
      await watchJob(service.client, ids.at(-1) ?? "").reached(kind);
      await service.kill();
    }
    await using service = await stage.start();
    // Killed between writing an attempt down and sending it, it takes another one.
    for (const id of ids) await expectDrawn(service.client, id);
    expect(new Set(stage.runs.begun).size).toBe(ids.length);
    expect(stage.runs.begun).toHaveLength(ids.length);
  });

  it("ends a job that was to be cancelled as cancelled, on the engine too", async () => {
    await using stage = await openStage();
    let jobId = "";
    {
      await using first = await stage.start();
      jobId = await submit(first.client, { ...spec, steps: 150 });
      await untilHeld(stage);
      const { job } = await first.client.jobs.cancelJob({ jobId });
      expect(job?.state).toBe(JobState.CANCELLING); // the engine stands still and proves nothing
      await first.kill();
    }
    await using second = await stage.start();
    stage.engine.faults.clear();
    await watchJob(second.client, jobId).ended;
    expect(await getJob(second.client, jobId)).toMatchObject({
      state: JobState.CANCELLED,
      error: { code: 1 },
    });
    expect(stage.runs.steps(stage.runs.begun[0] ?? "")).toBeLessThan(150);
  });

  it("has kept images, jobs, labels and the order of its list", async () => {
    await using stage = await openStage();
    stage.engine.faults.clear();
    const labels = { kept: randomUUID() };
    const ids: string[] = [];
    let before: readonly Job[] = [];
    {
      await using first = await stage.start();
      for (let i = 0; i < 3; i++) {
        const { job } = await first.client.jobs.submitJob({ spec, options: { labels } });
        ids.unshift(job?.jobId ?? "");
        await expectDrawn(first.client, ids[0] ?? "", 1);
      }
      before = (await first.client.jobs.listJobs({ filter: { labels } })).jobs;
      await first.kill();
    }
    await using second = await stage.start();
    const { jobs } = await second.client.jobs.listJobs({ filter: { labels } });
    expect(jobs.map(({ jobId }) => jobId)).toEqual(ids);
    expect(jobs).toEqual(before);
    for (const { images } of jobs) await download(second.client, images[0]?.assetId ?? "");
  });
});

describe("a service that gets SIGTERM while its engine works", () => {
  it("leaves submitted jobs running, tells those who watch, and goes on with them later", async () => {
    await using stage = await openStage();
    let last = 0n;
    let jobId = "";
    {
      await using first = await stage.start({ COMFYRPC_DRAIN_SECONDS: "0" });
      jobId = await submit(first.client, spec);
      const watch = watchJob(first.client, jobId);
      await watch.reached("nodeStarted");
      await untilHeld(stage);
      first.process.kill("SIGTERM");
      expect(await failureOf(watch.ended)).toMatchObject({ code: "Unavailable", reason: "SHUTTING_DOWN" });
      expect(await first.process.exit).toEqual({ exitCode: 0, signal: null });
      last = watch.events.at(-1)?.sequence ?? 0n;
    }
    expect((await askEngine(stage.engine.url)).running).toHaveLength(1);
    stage.engine.faults.clear();
    await using second = await stage.start();
    lastingNumbers(await watchJob(second.client, jobId, last).ended, last);
    await expectDrawn(second.client, jobId, 1);
    expect(stage.runs.begun).toHaveLength(1);
    expect(stage.runs.steps(stage.runs.begun[0] ?? "")).toBe(steps);
  });

  it("leaves the job of a caller who may come back under the same request_id", async () => {
    await using stage = await openStage();
    const request = { spec, requestId: randomUUID() };
    {
      await using first = await stage.start({ COMFYRPC_DRAIN_SECONDS: "0" });
      const call = failureOf(first.client.images.generate(request));
      await untilHeld(stage);
      first.process.kill("SIGTERM");
      expect(await call).toMatchObject({ code: "Unavailable", reason: "SHUTTING_DOWN" });
      await first.process.exit;
    }
    await using second = await stage.start();
    const repeated = second.client.images.generate(request);
    stage.engine.faults.clear();
    expect((await repeated).images).toHaveLength(1);
    expect(stage.runs.begun).toHaveLength(1);
  });
});

describe("an engine that has lost its queue and history while the service was away", () => {
  it("is given the job again", async () => {
    await using stage = await openStage();
    const jobId = await killMidJob(stage);
    stage.engine.faults.order({ type: "restart", now: true });
    await using second = await stage.start();
    await expectDrawn(second.client, jobId, 2);
    expect(new Set(stage.runs.begun).size).toBe(2);
    expect(stage.runs.begun).toHaveLength(2);
  });

  it("is given the job three times, and not for ever", async () => {
    await using stage = await openStage();
    const jobId = await killMidJob(stage);
    stage.engine.faults.order({ type: "restart", now: true });
    stage.engine.faults.order({ type: "restart", classType: "KSampler", step: heldStep, times: 9 });
    await using second = await stage.start();
    await watchJob(second.client, jobId).ended;
    const job = await getJob(second.client, jobId);
    expect(job).toMatchObject({ state: JobState.FAILED, attemptCount: 3, error: { code: 14 } });
    expect(stage.runs.begun).toHaveLength(3);
  });
});

describe("a backend that is not in the configuration any more", () => {
  it("has its jobs taken over by one that is", async () => {
    await using stage = await openStage();
    const jobId = await killMidJob(stage, { COMFYUI_URL: `old=${stage.engine.url}` });
    await using other = await startDemoEngine({ stepMs: 5, logger: createLogger({ level: "silent" }) });
    await using second = await stage.start({
      COMFYUI_URL: `new=${other.url}`,
      COMFYUI_LOST_SECONDS: "1",
      COMFYRPC_LEASE_SECONDS: "1",
    });
    await expectDrawn(second.client, jobId, 2);
    expect((await getJob(second.client, jobId)).backendName).toBe("new");
  });
});

describe("a second service on the same data directory", () => {
  it("is refused with exit code 1 and what to do, and does the first no harm", async () => {
    await using stage = await openStage();
    stage.engine.faults.clear();
    await using first = await stage.start();
    const { exitCode, said } = await failToStart({
      COMFYUI_URL: stage.engine.url,
      COMFYRPC_DATA_DIR: stage.directory,
    });
    expect(exitCode).toBe(1);
    const lines = said.trim().split("\n");
    expect(lines.at(-1)).toBe(
      `error: cannot start: the directory ${stage.directory} is in use by another comfyrpc process; ` +
        "stop that, or choose another COMFYRPC_DATA_DIR",
    );
    await expectDrawn(first.client, await submit(first.client, spec), 1);
  });
});

/** An engine that stands still amid its first prompt, and a directory for one service after another. */
interface Stage extends AsyncDisposable {
  readonly engine: DemoEngine;
  readonly runs: EngineRuns;
  readonly directory: string;
  start(env?: Readonly<Record<string, string>>): Promise<StartedService>;
}

interface StartedService extends AsyncDisposable {
  readonly process: ServiceProcess;
  readonly url: string;
  readonly client: JobClient;
  /** Kills it, and waits until it is gone. */
  kill(): Promise<void>;
}

async function openStage(): Promise<Stage> {
  await using opened = new AsyncDisposableStack();
  const { path: directory } = opened.use(await mkdtempDisposable(join(tmpdir(), "comfyrpc-test-")));
  const engine = opened.use(await startDemoEngine({ stepMs: 5, logger: createLogger({ level: "silent" }) }));
  const runs = watchRuns(engine);
  engine.faults.order({ type: "stall", classType: "KSampler", step: heldStep });
  const owned = opened.move();
  return {
    engine,
    runs,
    directory,
    async start(env = {}) {
      await using starting = new AsyncDisposableStack();
      const settings = { COMFYUI_URL: engine.url, COMFYRPC_DATA_DIR: directory, ...env };
      const service = starting.use(await startServiceProcess(settings));
      const client = starting.use(connectJobs(service.url));
      const started = starting.move();
      return {
        process: service,
        url: service.url,
        client,
        async kill() {
          service.kill("SIGKILL");
          await service.exit;
        },
        [Symbol.asyncDispose]: () => started.disposeAsync(),
      };
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Has a service killed while the engine stands still in a job, and returns the id of that. */
async function killMidJob(stage: Stage, env: Readonly<Record<string, string>> = {}): Promise<string> {
  await using service = await stage.start(env);
  const jobId = await submit(service.client, spec);
  await untilHeld(stage);
  await service.kill();
  return jobId;
}

async function submit({ jobs }: JobClient, wanted: SpecInit): Promise<string> {
  const { job } = await jobs.submitJob({ spec: wanted });
  return job?.jobId ?? expect.fail("no job");
}

/** Waits until a job has succeeded, after so many attempts if that is said, and fetches its image. */
async function expectDrawn(client: JobClient, jobId: string, attemptCount?: number): Promise<void> {
  await watchJob(client, jobId).ended;
  const job = await getJob(client, jobId);
  expect(job.state).toBe(JobState.SUCCEEDED);
  expect(job.attemptCount).toBe(attemptCount ?? job.attemptCount);
  expect(job.images).toHaveLength(1);
  await download(client, job.images[0]?.assetId ?? "");
}

/** Waits until the engine stands still amid its first prompt. */
async function untilHeld({ engine }: Stage): Promise<void> {
  await waitUntil(() => engine.faults.stalled, "the engine stands still");
}
