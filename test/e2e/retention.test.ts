import { mkdtempDisposable, readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import type { Job } from "../../gen/comfyrpc/v1/job_pb.js";
import { startService } from "../../src/app.ts";
import { readConfig } from "../../src/config/config.ts";
import { startDemoEngine } from "../../src/engine/demo/demo-engine.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import { type EngineRuns, watchRuns } from "../support/engine-runs.ts";
import type { SpecInit } from "../support/image-client.ts";
import { connectJobs, download, getJob, type JobClient, watchJob } from "../support/job-client.ts";
import { failureOf } from "../support/rpc-failure.ts";
import { waitUntil } from "../support/wait-until.ts";

const hourMs = 3_600_000;
const spec: SpecInit = { prompt: "an hourglass", widthPx: 64, heightPx: 64, steps: 2 };
const shortest = { retention: { seconds: 60n } };
const longest = { retention: { seconds: 2_592_000n } };

describe("a job whose time has come", () => {
  it("is removed with its image, and others are not", async () => {
    await using stage = await openStage();
    const { short, long } = await stage.serve(async ({ client, jobWith }) => {
      const short = await jobWith({ spec, options: shortest });
      const long = await jobWith({ spec, options: longest });
      expect(keptMs(short)).toBe(60_000);
      expect(keptMs(long)).toBe(2_592_000_000);
      await download(client, imageOf(short));
      return { short, long };
    });
    stage.passTime(2 * hourMs);
    await stage.serve(async ({ url, client }) => {
      await untilGone(client, short);
      await waitUntil(async () => (await stage.blobs()).length === 1, "the bytes are removed");
      expect(await stage.blobs()).toEqual([imageOf(long)]);
      expect(await failureOf(download(client, imageOf(short)))).toMatchObject({ reason: "ASSET_NOT_FOUND" });
      expect((await fetch(`${url}/assets/${imageOf(short)}`)).status).toBe(404);
      expect((await client.jobs.listJobs({})).jobs.map(({ jobId }) => jobId)).toEqual([long.jobId]);
      expect(await getJob(client, long.jobId)).toMatchObject({ jobId: long.jobId, state: long.state });
      await download(client, imageOf(long));
    });
  });

  it("leaves an image that another job shows too", async () => {
    await using stage = await openStage();
    const { first, second } = await stage.serve(async ({ jobWith }) => {
      const same: SpecInit = { ...spec, seed: 7n, allowReuse: true };
      // A job that is about to be removed is not reused.
      const first = await jobWith({ spec: same, options: { retention: { seconds: 600n } } });
      const second = await jobWith({ spec: same, options: longest });
      expect(second.result?.reusedJobId).toBe(first.jobId);
      return { first, second };
    });
    stage.passTime(2 * hourMs);
    await stage.serve(async ({ client }) => {
      await untilGone(client, first);
      await download(client, imageOf(second));
    });
    expect(stage.runs.begun).toHaveLength(1);
  });

  it("is kept for a day if its request may be repeated, and frees its name after that", async () => {
    await using stage = await openStage();
    const request = { spec, requestId: "r-1", options: shortest };
    const first = await stage.serve(({ jobWith }) => jobWith(request));
    expect(keptMs(first)).toBe(24 * hourMs);
    stage.passTime(23 * hourMs);
    await stage.serve(async ({ client }) => {
      expect((await client.jobs.submitJob(request)).job?.jobId).toBe(first.jobId);
      await download(client, imageOf(first));
    });
    stage.passTime(2 * hourMs);
    await stage.serve(async ({ client, jobWith }) => {
      await untilGone(client, first);
      const other = await jobWith({ ...request, spec: { ...spec, steps: 3 } });
      expect(other.jobId).not.toBe(first.jobId);
    });
  });

  it("goes with its batch", async () => {
    await using stage = await openStage();
    const batchId = await stage.serve(async ({ client }) => {
      const source = { case: "specs" as const, value: { specs: [spec, spec] } };
      const { batch } = await client.jobs.submitBatch({ source, options: shortest });
      for (const { jobId } of batch?.jobs ?? []) await watchJob(client, jobId).ended;
      return batch?.batchId ?? "";
    });
    stage.passTime(2 * hourMs);
    await stage.serve(async ({ client }) => {
      await waitUntil(async () => (await client.jobs.listJobs({})).jobs.length === 0, "the jobs are gone");
      expect(await failureOf(client.jobs.getBatch({ batchId }))).toMatchObject({ reason: "BATCH_NOT_FOUND" });
    });
  });

  it("is removed with any number of others", async () => {
    await using stage = await openStage();
    await stage.serve(async ({ client, jobWith }) => {
      for (let i = 0; i < 15; i++) {
        const source = { case: "specs" as const, value: { specs: Array<SpecInit>(10).fill(spec) } };
        await client.jobs.submitBatch({ source, options: shortest });
      }
      await jobWith({ spec, options: longest });
    });
    stage.passTime(2 * hourMs);
    await stage.serve(async ({ client }) => {
      await waitUntil(async () => (await client.jobs.listJobs({})).jobs.length === 1, "one job is left");
      await waitUntil(async () => (await stage.blobs()).length === 1, "one image is left");
    });
  }, 60_000);
});

describe("an upload whose time has come", () => {
  it("is removed, unless a job has made the same bytes", async () => {
    await using stage = await openStage();
    const data = await sharp({ create: { width: 8, height: 8, channels: 3, background: "teal" } })
      .png()
      .toBuffer();
    const { uploaded, drawn } = await stage.serve(async ({ client, jobWith }) => {
      const { asset } = await client.assets.createAsset({ info: shortest, data });
      const drawn = await jobWith({ spec, options: longest });
      const bytes = await download(client, imageOf(drawn));
      const { asset: same } = await client.assets.createAsset({ info: shortest, data: bytes });
      expect(same?.assetId).toBe(imageOf(drawn));
      return { uploaded: asset?.assetId ?? "", drawn };
    });
    stage.passTime(2 * hourMs);
    await stage.serve(async ({ client }) => {
      await waitUntil(async () => (await stage.blobs()).length === 1, "the upload is removed");
      expect(await failureOf(client.assets.getAsset({ assetId: uploaded }))).toMatchObject({
        reason: "ASSET_NOT_FOUND",
      });
      await download(client, imageOf(drawn));
    });
  });
});

describe("an image that came with a job", () => {
  it("is kept as long as a job that reads it, and no longer", async () => {
    await using stage = await openStage();
    const data = await sharp({ create: { width: 64, height: 64, channels: 3, background: "teal" } })
      .png()
      .toBuffer();
    const fromImage: SpecInit = {
      ...spec,
      start: { case: "imageToImage", value: { image: { source: { case: "data", value: data } } } },
    };
    const { input, short, long } = await stage.serve(async ({ jobWith }) => {
      const short = await jobWith({ spec: fromImage, options: shortest });
      const long = await jobWith({ spec: { ...fromImage, steps: 3 }, options: longest });
      return { input: inputOf(long), short, long };
    });
    expect(inputOf(short)).toBe(input);
    stage.passTime(2 * hourMs);
    await stage.serve(async ({ client }) => {
      await untilGone(client, short);
      await waitUntil(
        async () => (await stage.blobs()).length === 2,
        "the image of the first job is removed",
      );
      expect(await download(client, input)).toEqual(data);
      await client.jobs.deleteJob({ jobId: long.jobId });
      expect(await failureOf(client.assets.getAsset({ assetId: input }))).toMatchObject({
        reason: "ASSET_NOT_FOUND",
      });
    });
    stage.passTime(2 * hourMs);
    await stage.serve(async () => {
      await waitUntil(async () => (await stage.blobs()).length === 0, "all bytes are removed");
    });
  });
});

describe("how long a job is kept", () => {
  it("is what the server is configured for unless the caller says, and not longer than allowed", async () => {
    await using stage = await openStage({
      COMFYRPC_RETENTION_SECONDS: "120",
      COMFYRPC_MAX_RETENTION_SECONDS: "240",
    });
    await stage.serve(async ({ client, jobWith }) => {
      expect(keptMs(await jobWith({ spec }))).toBe(120_000);
      expect(keptMs(await jobWith({ spec, options: { retention: { seconds: 240n } } }))).toBe(240_000);
      for (const retention of [{ seconds: 241n }, { seconds: 59n }, { seconds: 2_592_001n }]) {
        const refused = await failureOf(client.jobs.submitJob({ spec, options: { retention } }));
        expect(refused).toMatchObject({ code: "InvalidArgument", reason: "INVALID_FIELD" });
        expect(refused.fields).toEqual(["options.retention"]);
      }
    });
  });
});

interface Served {
  readonly url: string;
  readonly client: JobClient;
  /** Has a job done, and returns it. */
  jobWith(request: Parameters<JobClient["jobs"]["submitJob"]>[0]): Promise<Job>;
}

/** An engine and a data directory, for one service after another. */
interface Stage extends AsyncDisposable {
  readonly runs: EngineRuns;
  /** Runs a service while `work` is under way, and ends it when nothing is left to do. */
  serve<T>(work: (served: Served) => Promise<T>): Promise<T>;
  /** Lets time pass for the data, while no service runs. */
  passTime(ms: number): void;
  /** Names of the images in the data directory. */
  blobs(): Promise<string[]>;
}

async function openStage(env: Readonly<Record<string, string>> = {}): Promise<Stage> {
  await using opened = new AsyncDisposableStack();
  const logger = createLogger({ level: "silent" });
  const engine = opened.use(await startDemoEngine({ stepMs: 0, logger }));
  const { path: directory } = opened.use(await mkdtempDisposable(join(tmpdir(), "comfyrpc-test-")));
  const config = readConfig({
    COMFYUI_URL: engine.url,
    COMFYRPC_PORT: "0",
    COMFYRPC_DATA_DIR: directory,
    COMFYRPC_MAX_QUEUED: "1000",
    ...env,
  });
  const runs = watchRuns(engine);
  const owned = opened.move();
  return {
    runs,
    async serve(work) {
      await using service = await startService(config, logger);
      await service.ready(AbortSignal.timeout(10_000));
      using client = connectJobs(service.url);
      const outcome = await work({
        url: service.url,
        client,
        async jobWith(request) {
          const { job } = await client.jobs.submitJob(request);
          await watchJob(client, job?.jobId ?? "").ended;
          return await getJob(client, job?.jobId ?? "");
        },
      });
      await waitUntil(async () => {
        const { jobs } = await client.jobs.listJobs({ filter: { states: [1, 2, 3] } });
        return jobs.length === 0;
      }, "nothing is left to do");
      return outcome;
    },
    passTime: (ms) => setBack(join(directory, "comfyrpc.sqlite3"), ms),
    async blobs() {
      const files = await readdir(join(directory, "blobs"), { withFileTypes: true, recursive: true });
      return files.filter((file) => file.isFile()).map(({ name }) => name);
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Sets all times in a database back, as if they had been written so much earlier. */
function setBack(file: string, ms: number): void {
  using database = new DatabaseSync(file);
  const columns = database
    .prepare(
      `select t.name as tableName, c.name as columnName from sqlite_schema t, pragma_table_info(t.name) c
       where t.type = 'table' and (c.name like '%\\_time' escape '\\' or c.name like '%\\_until' escape '\\'
         or c.name in ('time', 'queue_deadline'))`,
    )
    .all();
  expect(columns.length).toBeGreaterThan(5);
  for (const { tableName, columnName } of columns) {
    database.exec(`update "${tableName}" set "${columnName}" = "${columnName}" - ${ms}`);
  }
}

async function untilGone(client: JobClient, { jobId }: Job): Promise<void> {
  await waitUntil(async () => {
    const outcome = await client.jobs.getJob({ jobId }).catch((error: unknown) => error);
    return outcome instanceof Error;
  }, "the job is gone");
  expect(await failureOf(client.jobs.getJob({ jobId }))).toMatchObject({
    code: "NotFound",
    reason: "JOB_NOT_FOUND",
  });
}

function keptMs({ endTime, expireTime }: Job): number {
  if (endTime === undefined || expireTime === undefined) {
    throw new Error("the job has not ended");
  }
  return timestampMs(expireTime) - timestampMs(endTime);
}

/** The image that a job started from. */
function inputOf({ resolvedSpec }: Job): string {
  const start = resolvedSpec?.start;
  const source = start?.case === "imageToImage" ? start.value.image?.source : undefined;
  return source?.case === "assetId" ? source.value : expect.fail("no input");
}

function imageOf({ images }: Job): string {
  return images[0]?.assetId ?? expect.fail("no image");
}
