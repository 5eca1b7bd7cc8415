import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { JobEvent } from "../../gen/comfyrpc/v1/job_event_pb.js";
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
import { hasPostgres, startTestPostgres } from "../support/postgres.ts";
import { failureOf } from "../support/rpc-failure.ts";
import { startTestS3 } from "../support/s3.ts";
import { type ServiceProcess, startServiceProcess } from "../support/service-process.ts";
import { waitUntil } from "../support/wait-until.ts";

/** Several services, each a process, on one PostgreSQL and one bucket. */

const steps = 12;
const spec: SpecInit = { prompt: "a windmill", widthPx: 64, heightPx: 64, steps };
const longSpec: SpecInit = { ...spec, steps: 150 };
const bound = { timeoutMs: 25_000 };

describe.skipIf(!hasPostgres)("two replicas", () => {
  let stage: Stage;
  let a: Replica;
  let b: Replica;

  beforeAll(async () => {
    stage = await openStage({ stepMs: 20 });
    [a, b] = await Promise.all([stage.start(), stage.start()]);
  }, 60_000);

  afterAll(async () => {
    await a?.[Symbol.asyncDispose]();
    await b?.[Symbol.asyncDispose]();
    await stage?.[Symbol.asyncDispose]();
  });

  it("know the same of a job that one of them took in", async () => {
    const options = { labels: { both: randomUUID() }, note: "n" };
    const { job: submitted } = await a.client.jobs.submitJob({ spec, options });
    const jobId = submitted?.jobId ?? "";
    const watches = [watchJob(a.client, jobId), watchJob(b.client, jobId)];
    const [onA = [], onB = []] = await Promise.all(watches.map(({ ended }) => ended));
    expect(onB.filter(isLasting)).toEqual(onA.filter(isLasting));
    lastingNumbers(onB);
    const job = await getJob(b.client, jobId);
    expect(job).toEqual(await getJob(a.client, jobId));
    expect(job).toMatchObject({ ...options, state: JobState.SUCCEEDED });
    const { jobs } = await b.client.jobs.listJobs({ filter: { labels: options.labels } });
    expect(jobs.map((one) => one.jobId)).toEqual([jobId]);
    const assetId = job.images[0]?.assetId ?? "";
    const bytes = await download(b.client, assetId);
    const overHttp = await fetch(`${a.url}/assets/${assetId}`);
    expect(Buffer.from(await overHttp.arrayBuffer()).equals(bytes)).toBe(true);
    expect(await stage.imageCount()).toBeGreaterThan(0);
  });

  it("both show previews and progress of a job, whichever of them drives it", async () => {
    const { job } = await a.client.jobs.submitJob({ spec: { ...longSpec, preview: { maxSidePx: 64 } } });
    const watches = [a, b].map(({ client }) => watchJob(client, job?.jobId ?? ""));
    for (const watch of watches) {
      const { event } = await watch.reached("preview");
      const { data } = event.case === "preview" ? event.value : expect.fail("no preview");
      expect([...data.subarray(0, 2)]).toEqual([0xff, 0xd8]);
      await watch.reached("progress");
    }
    await b.client.jobs.cancelJob({ jobId: job?.jobId ?? "" });
    for (const watch of watches) {
      expect((await watch.ended).at(-1)?.event.case).toBe("failed");
    }
  });

  it("cancel what the other one took in, wherever it is driven", async () => {
    for (const [one, other] of [
      [a, b],
      [b, a],
    ] as const) {
      const { job } = await one.client.jobs.submitJob({ spec: longSpec });
      const jobId = job?.jobId ?? "";
      const watch = watchJob(one.client, jobId);
      await watch.reached("nodeStarted");
      const { foundState } = await other.client.jobs.cancelJob({ jobId });
      expect(foundState).toBe(JobState.RUNNING);
      expect((await watch.ended).at(-1)?.event).toMatchObject({
        case: "failed",
        value: { state: JobState.CANCELLED },
      });
    }
    expect(await askEngine(stage.engines[0]?.url ?? "")).toMatchObject({ running: [], pending: [] });
  });

  it("make one job of equal requests that come to both at once", async () => {
    const begunBefore = stage.runs[0]?.begun.length ?? 0;
    const request = { spec, requestId: randomUUID() };
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) => (i % 2 === 0 ? a : b).client.images.generate(request, bound)),
    );
    for (const answer of answers) expect(answer).toEqual(answers[0]);
    expect(stage.runs[0]?.begun).toHaveLength(begunBefore + 1);
  });

  it("let a caller that is cut off from one come back to the other", async () => {
    const begunBefore = stage.runs[0]?.begun.length ?? 0;
    const request = { spec: longSpec, requestId: randomUUID() };
    const leaving = connectJobs(a.url);
    const call = failureOf(leaving.images.generate(request, bound));
    await waitUntil(() => (stage.runs[0]?.begun.length ?? 0) > begunBefore, "the engine is at work");
    leaving[Symbol.dispose]();
    await call;
    expect((await b.client.images.generate(request, bound)).images).toHaveLength(1);
    expect(stage.runs[0]?.begun).toHaveLength(begunBefore + 1);
  });

  it("honour links that the other one has signed", async () => {
    const { images } = await a.client.images.generate({ spec }, bound);
    const { url } = await a.client.assets.signAssetUrl({ assetId: images[0]?.assetId ?? "" });
    const response = await fetch(new URL(url, b.url));
    expect(response.status).toBe(200);
    expect(Buffer.from(await response.arrayBuffer()).equals(images[0]?.data ?? Buffer.alloc(0))).toBe(true);
  });
});

describe.skipIf(!hasPostgres)("two replicas and two engines", () => {
  it("share the work, and do none of it twice", async () => {
    await using stage = await openStage({ stepMs: 10, engineCount: 2 });
    const env = { COMFYRPC_LEASE_SECONDS: "3600" }; // a machine that pauses must not pass for a replica that died
    await using a = await stage.start(env);
    await using b = await stage.start(env);
    const { health } = await b.client.images.health({});
    expect(health?.backends.map(({ backend }) => backend?.name)).toEqual(["engine-1", "engine-2"]);
    const ids = await Promise.all(
      Array.from({ length: 20 }, async (_, i) => {
        const { job } = await (i % 2 === 0 ? a : b).client.jobs.submitJob({
          spec: { ...spec, seed: BigInt(i) },
        });
        return job?.jobId ?? "";
      }),
    );
    await Promise.all(ids.map((id, i) => expectDrawn(i % 2 === 0 ? b : a, id, 1)));
    const begun = stage.runs.map((runs) => runs.begun);
    expect(begun.flat()).toHaveLength(20);
    expect(new Set(begun.flat()).size).toBe(20);
    for (const ofOne of begun) expect(ofOne.length).toBeGreaterThan(0);
  }, 60_000);
});

describe.skipIf(!hasPostgres)("when the replica that drives an engine", () => {
  it("is killed amid a job, the other one goes on with it", async () => {
    await using stage = await openStage({ stepMs: 5, held: true });
    await using a = await stage.start();
    await using b = await stage.start();
    const jobId = await submit(a, spec);
    const watch = watchJob(b.client, jobId);
    await stage.untilHeld();
    const waiting = await submit(b, spec);
    a.process.kill("SIGKILL");
    await a.process.exit;
    await b.process.logged("going on with a job");
    stage.engines[0]?.faults.clear();
    lastingNumbers(await watch.ended);
    for (const id of [jobId, waiting]) await expectDrawn(b, id, 1);
    expect(stage.runs[0]?.begun).toHaveLength(2);
    expect(new Set(stage.runs[0]?.begun).size).toBe(2);
  }, 60_000);

  it("is killed when its engine has ended the job, the other one fetches the image", async () => {
    await using stage = await openStage({ stepMs: 5, held: true });
    await using a = await stage.start();
    await using b = await stage.start();
    const jobId = await submit(a, spec);
    await stage.untilHeld();
    a.process.kill("SIGKILL");
    await a.process.exit;
    stage.engines[0]?.faults.clear();
    await expectDrawn(b, jobId, 1);
    expect(stage.runs[0]?.begun).toHaveLength(1);
  }, 60_000);

  it("freezes amid a job and wakes up later, there is one image, one end and no second run", async () => {
    await using stage = await openStage({ stepMs: 5, held: true });
    await using a = await stage.start();
    await using b = await stage.start();
    const jobId = await submit(a, { ...spec, imageCount: 2 });
    const watch = watchJob(b.client, jobId);
    await stage.untilHeld();
    const waiting = await submit(b, spec);
    a.process.kill("SIGSTOP");
    await b.process.logged("going on with a job");
    stage.engines[0]?.faults.clear();
    const events = await watch.ended;
    lastingNumbers(events);
    expect(events.filter(({ event }) => event.case === "image")).toHaveLength(2);
    await expectDrawn(b, waiting, 1);
    const before = await getJob(b.client, jobId);

    a.process.kill("SIGCONT");
    await a.process.logged("another process drives the backend now");
    expect(await getJob(a.client, jobId)).toEqual(before);
    expect((await watchJob(a.client, jobId).ended).filter(isLasting)).toEqual(events.filter(isLasting));
    // It is of use as before: for calls at once, and for driving when the other one has gone.
    await expectDrawn(a, await submit(a, spec), 1);
    b.process.kill("SIGKILL");
    await b.process.exit;
    await expectDrawn(a, await submit(a, spec), 1);
    expect(stage.runs[0]?.begun).toHaveLength(4);
    expect(new Set(stage.runs[0]?.begun).size).toBe(4);
  }, 60_000);

  it("wakes up while the other one is still at it, the job has one end and no second run", async () => {
    await using stage = await openStage({ stepMs: 5, held: true });
    await using a = await stage.start();
    await using b = await stage.start();
    const jobId = await submit(a, spec);
    const watch = watchJob(a.client, jobId);
    await stage.untilHeld();
    a.process.kill("SIGSTOP");
    await b.process.logged("going on with a job");
    a.process.kill("SIGCONT");
    await a.process.logged("another process drives the backend now");
    stage.engines[0]?.faults.clear();
    lastingNumbers(await watch.ended);
    await expectDrawn(a, jobId, 1);
    expect(stage.runs[0]?.begun).toHaveLength(1);
  }, 60_000);

  it("is told to stop, the other one goes on at once, without waiting for the lease to run out", async () => {
    await using stage = await openStage({ stepMs: 5, held: true });
    const env = { COMFYRPC_LEASE_SECONDS: "3600", COMFYRPC_DRAIN_SECONDS: "0" };
    await using a = await stage.start(env);
    await using b = await stage.start(env);
    const jobId = await submit(a, spec);
    const watch = watchJob(b.client, jobId);
    await stage.untilHeld();
    a.process.kill("SIGTERM");
    expect(await a.process.exit).toEqual({ exitCode: 0, signal: null });
    await b.process.logged("going on with a job");
    stage.engines[0]?.faults.clear();
    lastingNumbers(await watch.ended);
    await expectDrawn(b, jobId, 1);
    expect(stage.runs[0]?.begun).toHaveLength(1);
  }, 60_000);
});

describe.skipIf(!hasPostgres)("an engine that is lost for good", () => {
  it("has its jobs run by the other one", async () => {
    await using stage = await openStage({ stepMs: 20, engineCount: 2 });
    await using a = await stage.start({ COMFYUI_LOST_SECONDS: "1" });
    const ids = await Promise.all(Array.from({ length: 6 }, () => submit(a, { ...spec, steps: 60 })));
    await waitUntil(() => stage.runs.every(({ begun }) => begun.length > 0), "both engines are at work");
    await stage.engines[0]?.[Symbol.asyncDispose]();
    for (const id of ids) await expectDrawn(a, id);
    await untilJobs(a.url, {});
  }, 60_000);
});

interface StageOptions {
  readonly stepMs: number;
  /** Default: 1. */
  readonly engineCount?: number;
  /** Whether the first engine stands still amid its first prompt until its faults are cleared. */
  readonly held?: boolean;
}

/** A database, a bucket and engines, on which replicas can be started. */
interface Stage extends AsyncDisposable {
  readonly engines: readonly DemoEngine[];
  readonly runs: readonly EngineRuns[];
  start(env?: Readonly<Record<string, string>>): Promise<Replica>;
  untilHeld(): Promise<void>;
  /** Number of objects in the bucket. */
  imageCount(): Promise<number>;
}

interface Replica extends AsyncDisposable {
  readonly process: ServiceProcess;
  readonly url: string;
  readonly client: JobClient;
}

async function openStage({ stepMs, engineCount = 1, held = false }: StageOptions): Promise<Stage> {
  await using opened = new AsyncDisposableStack();
  const logger = createLogger({ level: "silent" });
  const database = opened.use(await startTestPostgres());
  const s3 = opened.use(await startTestS3());
  const engines: DemoEngine[] = [];
  for (let i = 0; i < engineCount; i++) {
    engines.push(opened.use(await startDemoEngine({ stepMs, logger })));
  }
  const runs = engines.map(watchRuns);
  if (held) engines[0]?.faults.order({ type: "stall", classType: "KSampler", step: 5 });
  const settings = {
    DATABASE_URL: database.url,
    COMFYUI_URL: engines.map(({ url }, i) => `engine-${i + 1}=${url}`).join(","),
    COMFYRPC_LEASE_SECONDS: "1",
    COMFYRPC_S3_BUCKET: s3.bucket,
    COMFYRPC_S3_ENDPOINT: s3.endpoint,
    COMFYRPC_S3_REGION: s3.region,
    COMFYRPC_S3_ACCESS_KEY_ID: s3.accessKeyId,
    COMFYRPC_S3_SECRET_ACCESS_KEY: s3.secretAccessKey,
    COMFYRPC_S3_PATH_STYLE: "true",
  };
  const owned = opened.move();
  return {
    engines,
    runs,
    async start(env = {}) {
      await using starting = new AsyncDisposableStack();
      const process = starting.use(await startServiceProcess({ ...settings, ...env }));
      const client = starting.use(connectJobs(process.url));
      const started = starting.move();
      return { process, url: process.url, client, [Symbol.asyncDispose]: () => started.disposeAsync() };
    },
    untilHeld: () => waitUntil(() => engines[0]?.faults.stalled === true, "the engine stands still"),
    imageCount: async () => (await s3.listKeys()).length,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function submit({ client }: Replica, wanted: SpecInit): Promise<string> {
  const { job } = await client.jobs.submitJob({ spec: wanted });
  return job?.jobId ?? expect.fail("no job");
}

/** Waits until a job has succeeded, after so many attempts if that is said, and fetches its images. */
async function expectDrawn({ client }: Replica, jobId: string, attemptCount?: number): Promise<void> {
  await watchJob(client, jobId).ended;
  const job = await getJob(client, jobId);
  expect(job.state).toBe(JobState.SUCCEEDED);
  expect(job.attemptCount).toBe(attemptCount ?? job.attemptCount);
  expect(job.images.length).toBeGreaterThan(0);
  for (const { assetId } of job.images) await download(client, assetId);
}

/** Whether it is surely kept: places in the queue pass, and look like the lasting event before them. */
function isLasting({ event }: JobEvent): boolean {
  return event.case !== "progress" && event.case !== "preview" && event.case !== "queued";
}
