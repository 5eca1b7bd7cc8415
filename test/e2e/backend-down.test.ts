import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { describe, expect, it } from "vitest";
import {
  Health,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from "../../gen/grpc/health/v1/health_pb.js";
import { type Service, startService } from "../../src/app.ts";
import { readConfig } from "../../src/config/config.ts";
import { type DemoEngine, startDemoEngine } from "../../src/engine/demo/demo-engine.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import { watchRuns } from "../support/engine-runs.ts";
import { queueOf } from "../support/foreign-prompt.ts";
import { findFreePort } from "../support/free-port.ts";
import {
  connectImages,
  draw,
  type ImageClient,
  type SpecInit,
  untilBackend,
} from "../support/image-client.ts";
import { countJobs, untilJobs } from "../support/job-counts.ts";
import { expectNoLeak, failureOf } from "../support/rpc-failure.ts";
import { waitUntil } from "../support/wait-until.ts";

const logger = createLogger({ level: "silent" });
const spec: SpecInit = { prompt: "a red fox", widthPx: 64, heightPx: 64, steps: 4 };
const longSpec: SpecInit = { ...spec, steps: 150 };

describe.concurrent("a service whose ComfyUI is down", () => {
  it("starts, lives, is not ready and says why", async () => {
    await using stage = await openStage();
    await untilBackend(stage.client, "DOWN");
    expect(await statusAndBody(`${stage.service.url}/healthz`)).toEqual([200, "ok\n"]);
    const [status, body] = await statusAndBody(`${stage.service.url}/readyz`);
    expect([status, JSON.parse(body)]).toEqual([503, { ready: false, reason: expect.stringMatching(/./) }]);
    expectNoLeak(body);
    expect(body).not.toContain(String(stage.enginePort));
    const { health } = await stage.client.rpc.health({});
    expect(health).toMatchObject({ ready: false, queuedJobCount: 0, runningJobCount: 0 });
    expect(health?.reason).toBe(JSON.parse(body).reason);
    expectNoLeak(health?.backends[0]?.reason ?? "");
    for (const service of ["", "comfyrpc.v1.ImageService"]) {
      expect(await stage.health.check({ service })).toMatchObject({ status: ServingStatus.NOT_SERVING });
    }
  });

  it("refuses calls at once with NO_BACKEND and when to try again", async () => {
    await using stage = await openStage();
    const unary = await failureOf(stage.client.rpc.generate({ spec }, { timeoutMs: 20_000 }));
    const { failure: streamed, events } = await draw(stage.client, spec);
    for (const failure of [unary, streamed]) {
      expect(failure).toMatchObject({ code: "Unavailable", reason: "NO_BACKEND" });
      expect(failure?.retryAfterMs).toBeGreaterThan(0);
      expectNoLeak(failure?.everything ?? "");
      expect(failure?.everything).not.toContain(String(stage.enginePort));
    }
    expect(events).toEqual([]);
  });

  it("becomes ready when it comes up, tells those who watch, and draws", async () => {
    await using stage = await openStage();
    await using statuses = watchStatus(stage);
    expect(await statuses.next()).toBe(ServingStatus.NOT_SERVING);
    await using _engine = await stage.startEngine();
    expect(await statuses.next()).toBe(ServingStatus.SERVING);
    expect(await statusAndBody(`${stage.service.url}/readyz`)).toEqual([200, '{"ready":true}\n']);
    await expectDrawn(stage.client);
  });
});

describe.concurrent("a service whose ComfyUI is killed and started again", () => {
  it("while idle, is not ready meanwhile and recovers by itself", async () => {
    await using stage = await openStage();
    await using statuses = watchStatus(stage);
    await statuses.until(ServingStatus.NOT_SERVING);
    {
      await using _engine = await stage.startEngine();
      await statuses.until(ServingStatus.SERVING);
      await expectDrawn(stage.client);
    }
    await statuses.until(ServingStatus.NOT_SERVING);
    expect((await statusAndBody(`${stage.service.url}/readyz`))[0]).toBe(503);
    const { failure } = await draw(stage.client, spec);
    expect(failure).toMatchObject({ code: "Unavailable", reason: "NO_BACKEND" });
    expect(failure?.retryAfterMs).toBeGreaterThan(0);
    await using _engine = await stage.startEngine();
    await statuses.until(ServingStatus.SERVING);
    await expectDrawn(stage.client);
    await untilBackend(stage.client, "UP");
  });

  it("runs the jobs that it had again, before those that waited, and each of them to its end", async () => {
    await using stage = await openStage({ COMFYUI_LOST_SECONDS: "30" });
    const first = await stage.startEngine(20);
    const jobs = await fillQueue(stage, first);
    await first[Symbol.asyncDispose]();
    await untilBackend(stage.client, "DOWN");
    await using second = await stage.startEngine(0);
    const runs = watchRuns(second);
    const outcomes = await Promise.all(jobs);
    expect(outcomes.map(({ failure }) => failure)).toEqual([undefined, undefined, undefined, undefined]);
    expect(outcomes.map(({ result }) => result?.attemptCount)).toEqual([2, 2, 1, 1]);
    expect(outcomes.map(({ images }) => images.length)).toEqual([1, 1, 1, 1]);
    expect(new Set(runs.begun).size).toBe(4);
    expect(runs.begun).toHaveLength(4);
    await untilBackend(stage.client, "UP");
    await expectDrawn(stage.client);
  });

  it("fails all jobs in bounded time if it stays away, and recovers by itself later", async () => {
    await using stage = await openStage({ COMFYUI_LOST_SECONDS: "1" });
    const first = await stage.startEngine(20);
    const jobs = await fillQueue(stage, first);
    await first[Symbol.asyncDispose]();
    const outcomes = await Promise.all(jobs);
    for (const { failure } of outcomes) {
      // Those that it ran have gone back into the queue by then.
      expect(failure).toMatchObject({ code: "Unavailable", reason: "NO_BACKEND" });
      expect(failure?.retryAfterMs).toBeGreaterThan(0);
      expectNoLeak(failure?.everything ?? "");
    }
    expect(await countJobs(stage.service.url)).toEqual({ queued: 0, running: 0, cancelling: 0 });
    const { health } = await stage.client.rpc.health({});
    expect(health).toMatchObject({ ready: false, reason: expect.stringMatching(/./) });
    await using _second = await stage.startEngine();
    await untilBackend(stage.client, "UP");
    await expectDrawn(stage.client);
  });

  it("lets a caller cancel at once while it is away", async () => {
    await using stage = await openStage({ COMFYUI_LOST_SECONDS: "60" });
    const first = await stage.startEngine(20);
    const cancel = new AbortController();
    const [running, ...others] = await fillQueue(stage, first, cancel.signal);
    await first[Symbol.asyncDispose]();
    await untilBackend(stage.client, "DOWN");
    cancel.abort();
    expect((await running)?.failure?.code).toBe("Canceled");
    await using second = await stage.startEngine();
    const runs = watchRuns(second);
    for (const { failure } of await Promise.all(others)) {
      expect(failure).toBeUndefined();
    }
    expect(runs.begun).toHaveLength(3);
  });

  it("lets the service stop in bounded time while it is away", { timeout: 60_000 }, async () => {
    await using stage = await openStage({ COMFYUI_LOST_SECONDS: "60" });
    const engine = await stage.startEngine(20);
    const jobs = await fillQueue(stage, engine);
    await engine[Symbol.asyncDispose]();
    await untilBackend(stage.client, "DOWN");
    const stopped = stage.service[Symbol.asyncDispose]().then(() => "stopped");
    for (const { failure } of await Promise.all(jobs)) {
      expect(failure).toMatchObject({ code: "Unavailable", reason: "SHUTTING_DOWN" });
    }
    const bound = AbortSignal.timeout(20_000);
    const late = new Promise((resolve) => bound.addEventListener("abort", () => resolve("still waiting")));
    expect(await Promise.race([stopped, late])).toBe("stopped");
  });
});

interface Stage extends AsyncDisposable {
  readonly service: Service;
  readonly client: ImageClient;
  readonly health: ReturnType<typeof createClient<typeof Health>>;
  readonly enginePort: number;
  /** Starts the built-in engine where the service expects its ComfyUI. */
  startEngine(stepMs?: number): Promise<DemoEngine>;
}

/** A service whose ComfyUI is not there yet. */
async function openStage(env: Readonly<Record<string, string>> = {}): Promise<Stage> {
  await using opened = new AsyncDisposableStack();
  const enginePort = await findFreePort();
  const data = opened.use(await mkdtempDisposable(join(tmpdir(), "comfyrpc-test-")));
  const config = readConfig({
    COMFYUI_URL: `http://127.0.0.1:${enginePort}`,
    COMFYRPC_PORT: "0",
    COMFYRPC_DATA_DIR: data.path,
    ...env,
  });
  const service = opened.use(await startService(config, logger));
  const client = opened.use(connectImages(service.url));
  const sessionManager = new Http2SessionManager(service.url);
  opened.defer(() => sessionManager.abort());
  const health = createClient(Health, createGrpcTransport({ baseUrl: service.url, sessionManager }));
  const owned = opened.move();
  return {
    service,
    client,
    health,
    enginePort,
    startEngine: (stepMs = 0) => startDemoEngine({ port: enginePort, stepMs, logger }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** The statuses that `grpc.health.v1.Health/Watch` tells, each waited for with a bound. */
function watchStatus({ health }: Stage) {
  const stop = new AbortController();
  const signal = AbortSignal.any([stop.signal, AbortSignal.timeout(25_000)]);
  const responses = health.watch({ service: "comfyrpc.v1.ImageService" }, { signal })[Symbol.asyncIterator]();
  const next = async (): Promise<ServingStatus | undefined> => (await responses.next()).value?.status;
  return {
    next,
    async until(wanted: ServingStatus): Promise<void> {
      for (let status = await next(); status !== wanted; status = await next()) {
        expect(status).toBeDefined();
      }
    },
    async [Symbol.asyncDispose](): Promise<void> {
      stop.abort();
      await responses.next().catch(() => {}); // it ends with the cancellation that we have just asked for
    },
  };
}

/** Four jobs: one that runs, one ready at the backend, two that wait in the service. `cancel` is for the first. */
async function fillQueue(
  { client, service }: Stage,
  engine: DemoEngine,
  cancel = new AbortController().signal,
) {
  await untilBackend(client, "UP");
  const running = draw(client, longSpec, { cancel });
  await waitUntil(async () => (await queueOf(engine.url)).running.length === 1, "the first job runs");
  const pending = draw(client, longSpec);
  await waitUntil(async () => (await queueOf(engine.url)).pending.length === 1, "the second job is pending");
  const third = draw(client, longSpec);
  await untilJobs(service.url, { running: 2, queued: 1 });
  const fourth = draw(client, longSpec);
  await untilJobs(service.url, { running: 2, queued: 2 });
  return [running, pending, third, fourth] as const;
}

async function expectDrawn(client: ImageClient): Promise<void> {
  const { failure, images, result } = await draw(client, spec);
  expect(failure).toBeUndefined();
  expect(images).toHaveLength(1);
  expect(result).toMatchObject({ attemptCount: 1 });
}

async function statusAndBody(url: string): Promise<[number, string]> {
  const response = await fetch(url);
  return [response.status, await response.text()];
}
