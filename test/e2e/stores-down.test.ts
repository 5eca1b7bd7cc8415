import { execFile } from "node:child_process";
import { mkdir, mkdtempDisposable, rename, rm, statfs, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import type { ServiceHealth } from "../../gen/comfyrpc/v1/health_pb.js";
import { JobState } from "../../gen/comfyrpc/v1/job_state_pb.js";
import { HealthCheckResponse_ServingStatus as ServingStatus } from "../../gen/grpc/health/v1/health_pb.js";
import { startService } from "../../src/app.ts";
import { readConfig } from "../../src/config/config.ts";
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
import { hasOwnPostgres, startOwnPostgres } from "../support/postgres.ts";
import type { PostgresServer } from "../support/postgres-server.ts";
import { expectNoLeak, failureOf } from "../support/rpc-failure.ts";
import { startTestS3 } from "../support/s3.ts";
import { failToStart } from "../support/service-process.ts";
import { waitUntil } from "../support/wait-until.ts";

/** What becomes of calls and jobs while a store is out of reach, full, or gone. */

const steps = 12;
const spec: SpecInit = { prompt: "a windmill", widthPx: 64, heightPx: 64, steps };
const bound = { timeoutMs: 40_000 };

describe.skipIf(!hasOwnPostgres)("while PostgreSQL is down", () => {
  it("calls fail with STORE_UNAVAILABLE, and probes say why, until it is back", async () => {
    await using stage = await openPostgresStage();
    const { jobId, images } = await drawn(stage, spec);
    await using statuses = watchStatus(stage);
    expect(await statuses.next()).toBe(ServingStatus.SERVING);
    await stage.database.stop();
    await expectRefused(stage, () => stage.client.jobs.submitJob({ spec }));
    expect(await statuses.next()).toBe(ServingStatus.NOT_SERVING);
    await expectNotReady(stage, /job store/);
    const assetId = images[0]?.assetId ?? "";
    for (const call of [
      () => stage.client.jobs.submitJob({ spec }),
      () => stage.client.jobs.submitJob({ spec, requestId: "r" }),
      () => stage.client.images.generate({ spec }, bound),
      () => Array.fromAsync(stage.client.images.generateWithProgress({ spec }, bound)),
      () => stage.client.jobs.getJob({ jobId }),
      () => stage.client.jobs.listJobs({}),
      () => stage.client.jobs.cancelJob({ jobId }),
      () => Array.fromAsync(stage.client.jobs.watchJob({ jobId })),
      () => stage.client.assets.getAsset({ assetId }),
    ]) {
      await expectRefused(stage, call);
    }
    const overHttp = await fetch(`${stage.url}/assets/${assetId}`);
    expect(overHttp.status).toBe(503);
    expect(Number(overHttp.headers.get("retry-after"))).toBeGreaterThan(0);
    expectNoLeak(await overHttp.text());

    await stage.database.start();
    expect(await statuses.next()).toBe(ServingStatus.SERVING);
    await expectReady(stage);
    await download(stage.client, assetId);
    await drawn(stage, spec);
  }, 60_000);

  it("a job that runs is not lost: it ends when it is back, without a second run, and its watch goes on", async () => {
    await using stage = await openPostgresStage();
    const jobId = await submit(stage, spec);
    const waiting = await submit(stage, spec);
    const watch = watchJob(stage.client, jobId);
    await stage.untilHeld();
    await stage.database.stop();
    stage.engine.faults.clear();
    await waitUntil(
      async () => (await askEngine(stage.engine.url)).running.length === 0,
      "the engine is done",
    );
    await stage.untilNotReady();
    await stage.database.start();
    lastingNumbers(await watch.ended);
    for (const id of [jobId, waiting]) {
      await watchJob(stage.client, id).ended;
      await expectWhole(stage, id);
    }
    expect(stage.runs.begun).toHaveLength(2);
    expect(new Set(stage.runs.begun).size).toBe(2);
  }, 60_000);

  it("a call that waits for its job goes on waiting, and is answered", async () => {
    await using stage = await openPostgresStage();
    const unary = stage.client.images.generate({ spec }, bound);
    await stage.untilHeld();
    const streamed = Array.fromAsync(
      stage.client.images.generateWithProgress({ spec: { ...spec, seed: 1n } }, bound),
    );
    await untilJobs(stage.url, { running: 2 });
    await stage.database.stop();
    stage.engine.faults.clear();
    await stage.untilNotReady();
    await stage.database.start();
    expect((await unary).images).toHaveLength(1);
    expect((await streamed).at(-1)?.event?.event.case).toBe("completed");
    expect(stage.runs.begun).toHaveLength(2);
  }, 60_000);

  it("and up again in a moment, many jobs go to their ends, none of them twice", async () => {
    await using stage = await openPostgresStage();
    stage.engine.faults.clear();
    const ids = await Promise.all(
      Array.from({ length: 12 }, (_, i) => submit(stage, { ...spec, seed: BigInt(i) })),
    );
    const watches = ids.map((id) => watchJob(stage.client, id));
    await watches[0]?.reached("image");
    await stage.database.restart();
    await watches[6]?.reached("image");
    await stage.database.restart();
    for (const [i, watch] of watches.entries()) {
      lastingNumbers(await watch.ended);
      await expectWhole(stage, ids[i] ?? "");
    }
    expect(stage.runs.begun).toHaveLength(12);
    expect(new Set(stage.runs.begun).size).toBe(12);
  }, 60_000);

  it("the service cannot be started, and says so without the password", async () => {
    await using database = await startOwnPostgres();
    await database.stop();
    await using data = await mkdtempDisposable(join(tmpdir(), "comfyrpc-test-"));
    const { exitCode, said } = await failToStart({
      DATABASE_URL: database.url,
      COMFYUI_URL: "http://127.0.0.1:9",
      COMFYRPC_DATA_DIR: data.path,
    });
    expect(exitCode).toBe(1);
    expect(said.trim().split("\n").at(-1)).toMatch(/^error: cannot start: .*(database|PostgreSQL)/);
    expect(said).not.toContain(new URL(database.url).password);
  }, 60_000);

  it("the service can be stopped in bounded time", async () => {
    const stage = await openPostgresStage();
    await using _ = stage;
    const jobId = await submit(stage, spec);
    await stage.untilHeld();
    await stage.database.stop();
    await stage.untilNotReady();
    const stopped = stage.stopService().then(() => "stopped");
    const late = new Promise((resolve) => setTimeout(() => resolve("still stopping"), 25_000).unref());
    expect(await Promise.race([stopped, late])).toBe("stopped");
    expect(jobId).not.toBe("");
  }, 60_000);
});

describe("while the directory for images is gone", () => {
  it("new jobs are refused, and one that has been drawn waits for it with its image", async () => {
    await using stage = await openStage();
    const blobs = join(stage.dataDirectory, "blobs");
    const jobId = await submit(stage, spec);
    const watch = watchJob(stage.client, jobId);
    await stage.untilHeld();
    await rename(blobs, `${blobs}-away`);
    stage.engine.faults.clear();
    await stage.untilNotReady();
    await expectNotReady(stage, /image store/);
    await expectRefused(stage, () => stage.client.jobs.submitJob({ spec }));
    await waitUntil(
      async () => (await askEngine(stage.engine.url)).running.length === 0,
      "the engine is done",
    );
    expect((await getJob(stage.client, jobId)).state).toBe(JobState.RUNNING); // what is known of jobs can be asked for
    await rename(`${blobs}-away`, blobs);
    lastingNumbers(await watch.ended);
    await expectWhole(stage, jobId);
    expect(stage.runs.begun).toHaveLength(1);
    await expectReady(stage);
  }, 60_000);

  it("images that are there already are UNAVAILABLE, and not NOT_FOUND", async () => {
    await using stage = await openStage();
    stage.engine.faults.clear();
    const { images } = await drawn(stage, spec);
    const assetId = images[0]?.assetId ?? "";
    const blobs = join(stage.dataDirectory, "blobs");
    await rename(blobs, `${blobs}-away`);
    await expectRefused(stage, () => download(stage.client, assetId));
    expect((await fetch(`${stage.url}/assets/${assetId}`)).status).toBe(503);
    await rename(`${blobs}-away`, blobs);
    await download(stage.client, assetId);
  });
});

describe("while the bucket is out of reach", () => {
  it("new jobs are refused, and one that has been drawn waits for it with its image", async () => {
    await using s3 = await startTestS3();
    await using stage = await openStage({
      COMFYRPC_S3_BUCKET: s3.bucket,
      COMFYRPC_S3_ENDPOINT: s3.endpoint,
      COMFYRPC_S3_REGION: s3.region,
      COMFYRPC_S3_ACCESS_KEY_ID: s3.accessKeyId,
      COMFYRPC_S3_SECRET_ACCESS_KEY: s3.secretAccessKey,
      COMFYRPC_S3_PATH_STYLE: "true",
    });
    const jobId = await submit(stage, spec);
    const watch = watchJob(stage.client, jobId);
    await stage.untilHeld();
    await s3.stop();
    stage.engine.faults.clear();
    await stage.untilNotReady();
    await expectNotReady(stage, /image store/);
    await expectRefused(stage, () => stage.client.jobs.submitJob({ spec }));
    await s3.start();
    lastingNumbers(await watch.ended);
    await expectWhole(stage, jobId);
    expect(stage.runs.begun).toHaveLength(1);
    await expectReady(stage);
  }, 60_000);
});

describe("while the disk is full", () => {
  it("new jobs are refused, and one that has been drawn waits for room for its image", async ({ skip }) => {
    await using parent = await mkdtempDisposable(join(tmpdir(), "comfyrpc-test-"));
    await using disk = await mountDisk(parent.path);
    if (disk === undefined) {
      skip("a disk of its own takes a Linux where this user may mount one");
      return;
    }
    const data = join(disk.path, "data");
    await mkdir(data);
    await using stage = await openStage({ COMFYRPC_DATA_DIR: data });
    const jobId = await submit(stage, spec);
    const watch = watchJob(stage.client, jobId);
    await stage.untilHeld();
    const filler = join(disk.path, "filler");
    const { bavail, bsize } = await statfs(disk.path);
    await writeFile(filler, Buffer.alloc(bavail * bsize)); // to the last byte
    stage.engine.faults.clear();
    await stage.untilNotReady();
    await expectNotReady(stage, /store/);
    await expectRefused(stage, () => stage.client.jobs.submitJob({ spec }));
    await waitUntil(
      async () => (await askEngine(stage.engine.url)).running.length === 0,
      "the engine is done",
    );
    await rm(filler);
    lastingNumbers(await watch.ended);
    await expectWhole(stage, jobId);
    expect(stage.runs.begun).toHaveLength(1);
    await expectReady(stage);
    await drawn(stage, spec);
  }, 60_000);
});

/** A service, and an engine that stands still amid its first prompt until its faults are cleared. */
interface Stage extends AsyncDisposable {
  readonly engine: DemoEngine;
  readonly runs: EngineRuns;
  readonly url: string;
  readonly client: JobClient;
  readonly dataDirectory: string;
  untilHeld(): Promise<void>;
  untilNotReady(): Promise<void>;
  stopService(): Promise<void>;
}

async function openStage(env: Readonly<Record<string, string>> = {}): Promise<Stage> {
  await using opened = new AsyncDisposableStack();
  const logger = createLogger({ level: "silent" });
  const engine = opened.use(await startDemoEngine({ stepMs: 5, logger }));
  const runs = watchRuns(engine);
  engine.faults.order({ type: "stall", classType: "KSampler", step: 5 });
  const { path: dataDirectory } = opened.use(await mkdtempDisposable(join(tmpdir(), "comfyrpc-test-")));
  const config = readConfig({
    COMFYUI_URL: engine.url,
    COMFYRPC_PORT: "0",
    COMFYRPC_DATA_DIR: dataDirectory,
    ...env,
  });
  const service = opened.use(await startService(config, logger));
  opened.defer(() => engine.faults.clear()); // the service stops its jobs first, which takes an engine that goes on
  await service.ready(AbortSignal.timeout(10_000));
  const client = opened.use(connectJobs(service.url));
  const owned = opened.move();
  const isReady = async () => (await fetch(`${service.url}/readyz`)).ok;
  return {
    engine,
    runs,
    url: service.url,
    client,
    dataDirectory,
    untilHeld: () => waitUntil(() => engine.faults.stalled, "the engine stands still"),
    untilNotReady: () => waitUntil(async () => !(await isReady()), "the service is not ready"),
    stopService: async () => await service[Symbol.asyncDispose](),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

interface PostgresStage extends Stage {
  readonly database: PostgresServer;
}

async function openPostgresStage(): Promise<PostgresStage> {
  await using opened = new AsyncDisposableStack();
  const database = opened.use(await startOwnPostgres());
  const stage = opened.use(await openStage({ DATABASE_URL: database.url }));
  const owned = opened.move();
  return { ...stage, database, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

async function submit({ client }: Stage, wanted: SpecInit): Promise<string> {
  const { job } = await client.jobs.submitJob({ spec: wanted });
  return job?.jobId ?? expect.fail("no job");
}

/** Has a picture drawn. */
async function drawn(stage: Stage, wanted: SpecInit) {
  stage.engine.faults.clear();
  const jobId = await submit(stage, wanted);
  await watchJob(stage.client, jobId).ended;
  return await expectWhole(stage, jobId);
}

/** Expects that a job has succeeded at its first attempt, and that its image is there. */
async function expectWhole({ client }: Stage, jobId: string) {
  const job = await getJob(client, jobId);
  expect(job).toMatchObject({ state: JobState.SUCCEEDED, attemptCount: 1 });
  expect(job.images).toHaveLength(1);
  await download(client, job.images[0]?.assetId ?? "");
  return job;
}

/** Expects `STORE_UNAVAILABLE` of a call, with when to try again, and no word of the store's whereabouts. */
async function expectRefused(stage: Stage, call: () => Promise<unknown>): Promise<void> {
  const failure = await failureOf(call());
  expect(failure).toMatchObject({ code: "Unavailable", reason: "STORE_UNAVAILABLE" });
  expect(failure.retryAfterMs).toBeGreaterThan(0);
  expectNoLeak(failure.everything);
  expect(failure.everything).not.toContain(stage.dataDirectory);
}

/** Expects that all probes say that the service is not ready, and why. */
async function expectNotReady(stage: Stage, reason: RegExp): Promise<void> {
  const response = await fetch(`${stage.url}/readyz`);
  const said = await response.text();
  expect(response.status).toBe(503);
  expect(JSON.parse(said)).toEqual({ ready: false, reason: expect.stringMatching(reason) });
  expectNoLeak(said);
  expect((await fetch(`${stage.url}/healthz`)).status).toBe(200);
  expect(await healthOf(stage)).toMatchObject({ ready: false, reason: expect.stringMatching(reason) });
  for (const service of [
    "",
    "comfyrpc.v1.ImageService",
    "comfyrpc.v1.JobService",
    "comfyrpc.v1.AssetService",
  ]) {
    expect(await stage.client.health.check({ service })).toMatchObject({ status: ServingStatus.NOT_SERVING });
  }
}

async function expectReady(stage: Stage): Promise<void> {
  await waitUntil(async () => (await fetch(`${stage.url}/readyz`)).ok, "the service is ready");
  expect(await healthOf(stage)).toMatchObject({ ready: true, reason: "" });
}

async function healthOf({ client }: Stage): Promise<ServiceHealth> {
  const { health } = await client.images.health({}, bound);
  return health ?? expect.fail("no health");
}

/** The statuses that `grpc.health.v1.Health/Watch` tells, each waited for with a bound. */
function watchStatus({ client }: Stage) {
  const stop = new AbortController();
  const signal = AbortSignal.any([stop.signal, AbortSignal.timeout(40_000)]);
  const responses = client.health.watch({ service: "" }, { signal })[Symbol.asyncIterator]();
  return {
    next: async (): Promise<ServingStatus | undefined> => (await responses.next()).value?.status,
    async [Symbol.asyncDispose](): Promise<void> {
      stop.abort();
      await responses.next().catch(() => {}); // it ends with the cancellation that we have just asked for
    },
  };
}

/** A file system of 80 MiB in memory, or nothing where there can be none. */
async function mountDisk(path: string): Promise<({ path: string } & AsyncDisposable) | undefined> {
  const run = promisify(execFile);
  try {
    await run("mount", ["-t", "tmpfs", "-o", "size=80m", "tmpfs", path]);
  } catch {
    return undefined;
  }
  return { path, [Symbol.asyncDispose]: async () => void (await run("umount", [path])) };
}
