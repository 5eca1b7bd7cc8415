import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import type { JobEvent } from "../../../gen/comfyrpc/v1/job_event_pb.js";
import type { Job } from "../../../gen/comfyrpc/v1/job_pb.js";
import type { JobService } from "../../../gen/comfyrpc/v1/job_service_pb.js";
import { JobState } from "../../../gen/comfyrpc/v1/job_state_pb.js";
import { ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.js";
import { captureIo } from "../testing/capture-io.ts";
import { onStage } from "../testing/on-stage.ts";
import { assetIdOf, downloadOf, storedImageOf } from "../testing/staged-assets.ts";
import { failureOf, jobIdOf, jobOf, lifeOf } from "../testing/staged-jobs.ts";
import type { StagedMethods, StagedService } from "../testing/staged-service.ts";

type WatchBatch = ServiceImpl<typeof JobService>["watchBatch"];

const pictures = ["first", "second", "third"].map((text) => Buffer.from(text));
const batchId = jobIdOf(9);
const jobs = pictures.map((_, index) => jobOf(index, { batchId, batchIndex: index }));
const lives = pictures.map((picture, index) => lifeOf(index, [storedImageOf(picture, index)]));
const failure = failureOf(1, JobState.FAILED, { code: 9, message: "KSampler failed" });
const cancelled = failureOf(2, JobState.CANCELLED, { code: 1, message: "stopped" });

/** A service whose batch lives through `events`, from wherever it is asked to go on. */
function playing(events: readonly JobEvent[], batchJobs: readonly Job[] = jobs): StagedMethods {
  return {
    getBatch: () => ({ batch: { batchId, jobs: [...batchJobs] } }),
    async *watchBatch({ afterSequences }) {
      yield* events
        .filter(({ jobId, sequence }) => sequence > (afterSequences[jobId] ?? 0n))
        .map((event) => ({ event }));
    },
    async *downloadAsset(request) {
      const data = pictures.find((picture) => assetIdOf(picture) === request.assetId);
      if (!data) throw new ConnectError("no such asset", Code.NotFound);
      yield* downloadOf(data, request);
    },
  };
}

describe("batch watch", () => {
  it("says of each job how it ended, sums up, and prints the ids of the images", async () => {
    await onStage(playing(lives.flat()), async ({ run }) => {
      expect(await run(["batch", "watch", batchId])).toEqual({
        exitCode: 0,
        out: pictures.map((picture) => `${assetIdOf(picture)}\n`).join(""),
        err: [
          "1/3  succeeded in 12s  a red fox, seed 42",
          "2/3  succeeded in 12s  a red fox, seed 42",
          "3/3  succeeded in 12s  a red fox, seed 42",
          "3 jobs: 3 succeeded",
          "",
        ].join("\n"),
      });
    });
  });

  it.each([
    ["a job failed", [lives[0], failure, cancelled], "3 jobs: 1 succeeded, 1 failed, 1 cancelled", 1],
    ["a job was cancelled", [lives[0], lives[1], cancelled], "3 jobs: 2 succeeded, 1 cancelled", 7],
  ])("ends accordingly when %s", async (_, played, summary, expected) => {
    const events = played.flatMap((life) => life ?? []);
    await onStage(playing(events), async ({ run }) => {
      const { exitCode, err } = await run(["batch", "watch", batchId]);
      expect(exitCode).toBe(expected);
      expect(err).toContain("3/3  cancelled  a red fox, seed 42\n  error: CANCELLED: stopped\n");
      expect(err.trim().split("\n").at(-1)).toBe(summary);
    });
  });

  it("saves the images in a directory", async () => {
    await onStage(playing(lives.flat()), async ({ run, directory }) => {
      const paths = [42, 43, 44].map((seed) => join(directory.path, `a-red-fox-${seed}.png`));
      const { out, exitCode } = await run(["batch", "watch", batchId, "--out", directory.path, "--quiet"]);
      expect({ out, exitCode }).toEqual({ out: `${paths.join("\n")}\n`, exitCode: 0 });
      expect(await Promise.all(paths.map((path) => readFile(path)))).toEqual(pictures);
    });
  });

  it("writes each event as a line of JSON", async () => {
    await onStage(playing(lives.flat()), async ({ run }) => {
      const { out, err } = await run(["batch", "watch", batchId, "--json"]);
      const ids = out
        .trim()
        .split("\n")
        .map((line): unknown => JSON.parse(line).jobId);
      expect(new Set(ids)).toEqual(new Set([0, 1, 2].map(jobIdOf)));
      expect(ids).toHaveLength(lives.flat().length);
      expect(err).toBe("");
    });
  });

  it.each([50, 80])("keeps a line for all jobs on a terminal of %i columns", async (columns) => {
    const io = captureIo({ columns });
    const methods: StagedMethods = {
      ...playing([]),
      async *watchBatch() {
        for (const event of lives.flat()) {
          yield { event };
          if (event.jobId === jobIdOf(1) && event.event.case === "progress") {
            await io.errHas("1 of 3 ended, 1 running", AbortSignal.timeout(10_000));
          }
        }
      },
    };
    await onStage(methods, async ({ run }) => {
      const { err } = await run(["batch", "watch", batchId], io);
      expect(err).toContain(" 49%  1 of 3 ended, 1 running");
      expect(err).toMatch(/1\/3 {2}succeeded in 12s {2}a red fox, seed 42\n/);
      expect(err).toMatch(/3 jobs: 3 succeeded\n$/);
    });
  });

  it("goes on after a lost connection where each job was", async () => {
    const asked: Record<string, bigint>[] = [];
    const io = captureIo();
    let service: StagedService | undefined;
    const watchBatch: WatchBatch = async function* ({ afterSequences }, { signal }) {
      asked.push(afterSequences);
      const all = lives.flat().filter(({ jobId, sequence }) => sequence > (afterSequences[jobId] ?? 0n));
      if (asked.length > 1) return yield* all.map((event) => ({ event }));
      yield* all
        .filter(({ jobId, sequence }) => jobId !== jobIdOf(1) || sequence <= 2n)
        .map((event) => ({ event }));
      await io.errHas("3/3", AbortSignal.timeout(10_000));
      service?.dropConnections();
      await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    };
    await onStage({ ...playing([]), watchBatch }, async (stage) => {
      service = stage.service;
      const { exitCode, err } = await stage.run(["batch", "watch", batchId], io);
      expect(exitCode).toBe(0);
      expect(asked).toEqual([{}, { [jobIdOf(0)]: 6n, [jobIdOf(1)]: 2n, [jobIdOf(2)]: 6n }]);
      expect(err).toContain("Connection lost, trying again\n");
      expect(err.match(/succeeded in/g)).toHaveLength(3);
    });
  });

  it("does not wait for a job that was deleted meanwhile", async () => {
    let askCount = 0;
    const methods: StagedMethods = {
      ...playing([lives[0], lives[1]].flatMap((life) => life ?? [])),
      getBatch: () => ({ batch: { batchId, jobs: ++askCount === 1 ? jobs : jobs.slice(0, 2) } }),
    };
    await onStage(methods, async ({ run }) => {
      const { exitCode, err } = await run(["batch", "watch", batchId]);
      expect(exitCode).toBe(0);
      expect(err).toMatch(/3 jobs: 2 succeeded, 1 deleted\n$/);
    });
  });

  it("leaves the jobs alone at Ctrl-C, and says how to go on", async () => {
    const abort = new AbortController();
    const methods: StagedMethods = {
      ...playing([]),
      async *watchBatch(_, { signal }) {
        yield* (lives[0] ?? []).map((event) => ({ event }));
        await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
      },
    };
    await onStage(methods, async ({ run, directory }) => {
      const io = captureIo();
      const watching = run(["batch", "watch", batchId, "--out", directory.path], io, abort.signal);
      await io.errHas("1/3", AbortSignal.timeout(10_000));
      abort.abort();
      const { exitCode, out, err } = await watching;
      expect(exitCode).toBe(130);
      expect(out).toBe(`${join(directory.path, "a-red-fox-42.png")}\n`);
      expect(err).toContain(
        `stopped watching; the jobs go on, to see the rest:\n  comfyrpc batch watch ${batchId}\n`,
      );
    });
  });
});

describe("batch --watch", () => {
  it("submits, watches and saves", async () => {
    const methods: StagedMethods = {
      ...playing(lives.flat()),
      submitBatch: () => ({ batch: { batchId, jobs } }),
    };
    await onStage(methods, async ({ run, directory }) => {
      const { exitCode, out, err } = await run([
        "batch",
        "a red fox",
        "--seeds",
        "1-3",
        "--out",
        directory.path,
      ]);
      expect(exitCode).toBe(0);
      expect(out.split("\n").slice(0, 5)).toEqual([
        batchId,
        ...jobs.map(({ jobId }) => jobId),
        join(directory.path, "a-red-fox-42.png"),
      ]);
      expect(err).toContain("3 jobs: 3 succeeded\n");
    });
  });
});

describe("batch get", () => {
  it("shows the batch and its jobs", async () => {
    const getBatch = () => ({ batch: { batchId, jobs, succeededCount: 1, failedCount: 0 } });
    await onStage({ getBatch }, async ({ run }) => {
      const { out, exitCode } = await run(["batch", "get", batchId]);
      expect(exitCode).toBe(0);
      expect(out).toMatch(
        new RegExp(
          `^batch {4}${batchId}\nstate {4}under way: 3 jobs, 1 succeeded, 0 without success, 2 to go\n\nID `,
        ),
      );
      expect(JSON.parse((await run(["batch", "get", batchId, "--json"])).out)).toMatchObject({ batchId });
    });
  });

  it("ends with 6 if there is none", async () => {
    const getBatch = () => {
      const info = { desc: ErrorInfoSchema, value: { reason: "BATCH_NOT_FOUND" } };
      throw new ConnectError("no", Code.NotFound, undefined, [info]);
    };
    await onStage({ getBatch }, async ({ run }) => {
      expect((await run(["batch", "get", batchId])).exitCode).toBe(6);
      expect((await run(["batch", "watch", batchId])).exitCode).toBe(6);
    });
  });
});

describe("batch cancel", () => {
  it("says in which state each job was found", async () => {
    const stopped = [
      jobOf(0, { state: JobState.SUCCEEDED }),
      jobOf(1, { state: JobState.CANCELLING }),
      jobOf(2, { state: JobState.CANCELLED }),
    ];
    const foundStates = [JobState.SUCCEEDED, JobState.RUNNING, JobState.QUEUED];
    const cancelBatch = () => ({ batch: { batchId, jobs: stopped }, foundStates });
    await onStage({ cancelBatch }, async ({ run }) => {
      const { out, exitCode } = await run(["batch", "cancel", batchId]);
      expect(exitCode).toBe(0);
      expect(out).toBe(
        [
          `${jobIdOf(0)}  had ended: succeeded`,
          `${jobIdOf(1)}  was running, is cancelling`,
          `${jobIdOf(2)}  was queued, is cancelled`,
          "",
        ].join("\n"),
      );
      expect(JSON.parse((await run(["batch", "cancel", batchId, "--json"])).out)).toMatchObject({
        foundStates: ["JOB_STATE_SUCCEEDED", "JOB_STATE_RUNNING", "JOB_STATE_QUEUED"],
      });
    });
  });
});
