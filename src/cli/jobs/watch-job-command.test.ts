import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { ImageFormat } from "../../../gen/comfyrpc/v1/generation_pb.js";
import type { JobEvent } from "../../../gen/comfyrpc/v1/job_event_pb.js";
import type { Job } from "../../../gen/comfyrpc/v1/job_pb.js";
import type { JobService } from "../../../gen/comfyrpc/v1/job_service_pb.js";
import { JobState } from "../../../gen/comfyrpc/v1/job_state_pb.js";
import { ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.js";
import { captureIo } from "../testing/capture-io.ts";
import { onStage } from "../testing/on-stage.ts";
import { assetIdOf, downloadOf, storedImageOf } from "../testing/staged-assets.ts";
import { eventsOf, failureOf, jobIdOf, jobOf, lifeOf } from "../testing/staged-jobs.ts";
import type { StagedMethods, StagedService } from "../testing/staged-service.ts";

type WatchJob = ServiceImpl<typeof JobService>["watchJob"];

const picture = Buffer.from("not really a picture");
const second = Buffer.alloc(250_000, "abcdefg");

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

/** A service that plays `events` from wherever it is asked to, and has their images. */
function playing(events: readonly JobEvent[], job: Job = jobOf(1, { lastSequence: 3n })): StagedMethods {
  return {
    getJob: () => ({ job }),
    async *watchJob({ afterSequence }) {
      yield* events.filter(({ sequence }) => sequence > afterSequence).map((event) => ({ event }));
    },
    async *downloadAsset(request) {
      const data = [picture, second].find((candidate) => assetIdOf(candidate) === request.assetId);
      if (!data) throw new ConnectError("no such asset", Code.NotFound);
      yield* downloadOf(data, request);
    },
  };
}

describe("jobs watch", () => {
  it("shows how the job goes and what was made, and prints the ids of its images", async () => {
    await onStage(playing(lifeOf(1, [storedImageOf(picture)])), async ({ run }) => {
      const { exitCode, out, err } = await run(["jobs", "watch", jobIdOf(1)]);
      expect({ exitCode, out }).toEqual({ exitCode: 0, out: `${assetIdOf(picture)}\n` });
      expect(err).toMatch(/^Queued, 2 jobs ahead .*\n0% {2}Starting on gpu-a/);
      expect(err).toContain("512x512, seed 42, model dream.safetensors\n");
    });
  });

  it("saves what there is beside images under its own name, or prints its id", async () => {
    const output = {
      nodeId: "12",
      mediaType: "video/mp4",
      fileName: "fox.mp4",
      sizeBytes: BigInt(second.byteLength),
      assetId: assetIdOf(second),
    };
    const events = eventsOf(1, [
      { case: "output", value: { output } },
      { case: "completed", value: { result: { outputs: [output] } } },
    ]);
    await onStage(playing(events, jobOf(1)), async ({ run, directory }) => {
      const seen = await run(["jobs", "watch", jobIdOf(1)]);
      expect(seen).toMatchObject({ exitCode: 0, out: `${assetIdOf(second)}\n` });
      expect(seen.err).toContain("1 other output");
      const path = join(directory.path, "fox.mp4");
      const saved = await run(["jobs", "watch", jobIdOf(1), "--out", directory.path]);
      expect(saved).toMatchObject({ exitCode: 0, out: `${path}\n` });
      expect(await readFile(path)).toEqual(second);
    });
  });

  it("draws a bar on a terminal", async () => {
    const io = captureIo({ columns: 80 });
    const events = lifeOf(1, [storedImageOf(picture)]);
    const methods: StagedMethods = {
      ...playing(events),
      async *watchJob() {
        for (const event of events) {
          yield { event };
          if (event.event.case === "progress") {
            await io.errHas("step 10/20", AbortSignal.timeout(10_000));
          }
        }
      },
    };
    await onStage(methods, async ({ run }) => {
      const { err } = await run(["jobs", "watch", jobIdOf(1)], io);
      expect(err).toContain("█");
      expect(err).toMatch(/47% {2}.*step 10\/20/);
    });
  });

  it("writes each event as a line of JSON, from the one that was asked for on", async () => {
    await onStage(playing(lifeOf(1, [storedImageOf(picture)])), async ({ run }) => {
      const { out, err } = await run(["jobs", "watch", jobIdOf(1), "--json", "--after", "3"]);
      const lines = out
        .trim()
        .split("\n")
        .map((line): Record<string, unknown> => JSON.parse(line));
      expect(lines.map((line) => [line.sequence, Object.keys(line).at(-1)])).toEqual([
        ["4", "nodeStarted"],
        ["4", "progress"],
        ["5", "image"],
        ["6", "completed"],
      ]);
      expect(err).toBe("");
    });
  });

  it("saves the images with --out, those of before --after too", async () => {
    const images = [storedImageOf(picture), storedImageOf(second, 1)];
    await onStage(playing(lifeOf(1, images)), async ({ run, directory }) => {
      const paths = ["a-red-fox-42.png", "a-red-fox-43.png"].map((name) => join(directory.path, name));
      const { out, exitCode } = await run([
        "jobs",
        "watch",
        jobIdOf(1),
        "--out",
        directory.path,
        "--after",
        "5",
      ]);
      expect({ out, exitCode }).toEqual({ out: `${paths.join("\n")}\n`, exitCode: 0 });
      expect(await Promise.all(paths.map((path) => readFile(path)))).toEqual([picture, second]);
      const json = await run(["jobs", "watch", jobIdOf(1), "--json", "--out", directory.path, "--overwrite"]);
      expect(JSON.parse(json.out.trim().split("\n").at(-1) ?? "")).toEqual({ files: paths });
    });
  });

  it("saves a file under the name that was given, if its format fits and it is free", async () => {
    await onStage(playing(lifeOf(1, [storedImageOf(picture)])), async ({ run, directory }) => {
      const path = join(directory.path, "fox.png");
      expect((await run(["jobs", "watch", jobIdOf(1), "--out", path])).out).toBe(`${path}\n`);
      const taken = await run(["jobs", "watch", jobIdOf(1), "--out", path]);
      expect(taken).toMatchObject({ exitCode: 2, out: "" });
      expect(taken.err).toContain("fox.png exists");
      const other = await run(["jobs", "watch", jobIdOf(1), "--out", join(directory.path, "fox.webp")]);
      expect(other).toMatchObject({ exitCode: 2, out: "" });
      expect(other.err).toContain("the job makes .png");
      expect(await directory.list()).toEqual(["fox.png"]);
    });
  });

  it("saves previews", async () => {
    const preview = { data: Buffer.from("half"), format: ImageFormat.JPEG } as const;
    const events = eventsOf(1, [
      { case: "accepted", value: {} },
      { case: "preview", value: preview },
      { case: "completed", value: { result: {} } },
    ]);
    await onStage(playing(events), async ({ run, directory }) => {
      await run(["jobs", "watch", jobIdOf(1), "--preview", directory.path]);
      expect(await directory.list()).toEqual(["a-red-fox-42-preview-001.jpg"]);
    });
  });

  it("knows how a job ended whose last event was asked to be left out", async () => {
    const job = jobOf(1, {
      state: JobState.CANCELLED,
      lastSequence: 7n,
      error: { code: 1, message: "stopped" },
    });
    await onStage(playing([], job), async ({ run }) => {
      const { exitCode, err } = await run(["jobs", "watch", jobIdOf(1), "--after", "7"]);
      expect({ exitCode, err }).toEqual({ exitCode: 7, err: "error: CANCELLED: stopped\n" });
    });
  });

  it.each([
    [JobState.FAILED, 9, "NODE_FAILED", 1],
    [JobState.FAILED, 14, "BACKEND_LOST", 1],
    [JobState.EXPIRED, 4, "JOB_TIMEOUT", 1],
    [JobState.CANCELLED, 1, "CANCELLED_BY_REQUEST", 7],
  ])("of a job that ends in state %i ends accordingly", async (state, code, reason, expected) => {
    const details = [anyPack(ErrorInfoSchema, create(ErrorInfoSchema, { reason }))];
    const events = failureOf(1, state, { code, message: "no", details });
    await onStage(playing(events), async ({ run }) => {
      const { exitCode, out, err } = await run(["jobs", "watch", jobIdOf(1), "--quiet"]);
      expect({ exitCode, out, err }).toEqual({ exitCode: expected, out: "", err: `error: ${reason}: no\n` });
      const json = await run(["jobs", "watch", jobIdOf(1), "--json"]);
      expect(JSON.parse(json.out.trim().split("\n").at(-1) ?? "")).toMatchObject({
        failed: { error: { details: [{ reason }] } },
      });
      expect(json.exitCode).toBe(expected);
    });
  });
});

describe("a connection that is lost", () => {
  /** Plays `events`, and drops every connection when the client has seen the one numbered `dropAt`, once. */
  function dropping(
    events: readonly JobEvent[],
    dropAt: bigint,
    drop: () => Promise<void>,
    asked: bigint[],
  ): WatchJob {
    return async function* ({ afterSequence }, { signal }) {
      asked.push(afterSequence);
      for (const event of events.filter(({ sequence }) => sequence > afterSequence)) {
        yield { event };
        if (asked.length > 1 || event.sequence !== dropAt) continue;
        await drop();
        await untilAborted(signal);
        return;
      }
    };
  }

  it("is made anew, and the events go on after the last that came", async () => {
    const io = captureIo();
    const asked: bigint[] = [];
    let service: StagedService | undefined;
    const drop = async () => {
      await io.outHas('"sequence":"3"', AbortSignal.timeout(10_000));
      service?.dropConnections();
    };
    const events = lifeOf(1, [storedImageOf(picture)]);
    const methods = { ...playing(events), watchJob: dropping(events, 3n, drop, asked) };
    await onStage(methods, async (stage) => {
      service = stage.service;
      const { exitCode, out, err } = await stage.run(["jobs", "watch", jobIdOf(1), "--json"], io);
      expect(exitCode).toBe(0);
      expect(asked).toEqual([0n, 3n]);
      const sequences = out
        .trim()
        .split("\n")
        .map((line): unknown => JSON.parse(line).sequence);
      expect(sequences).toEqual(["1", "2", "3", "4", "4", "5", "6"]);
      expect(err).toMatch(/^connection lost, trying again \(.*\)\n$/);
    });
  });

  it("is told to people, on a terminal in the line of the bar", async () => {
    for (const columns of [undefined, 80]) {
      const io = captureIo(columns === undefined ? {} : { columns });
      let service: StagedService | undefined;
      const events = lifeOf(1, [storedImageOf(picture)]);
      const drop = async () => {
        await io.errHas("Starting on gpu-a", AbortSignal.timeout(10_000));
        service?.dropConnections();
      };
      const methods = { ...playing(events), watchJob: dropping(events, 3n, drop, []) };
      await onStage(methods, async (stage) => {
        service = stage.service;
        const { exitCode, err } = await stage.run(["jobs", "watch", jobIdOf(1)], io);
        expect(exitCode).toBe(0);
        expect(err).toContain("Connection lost, trying again");
        expect(err).toContain("512x512, seed 42");
      });
    }
  });

  it("is no reason to fail when the service says that it is shutting down", async () => {
    const events = lifeOf(1, [storedImageOf(picture)]);
    let callCount = 0;
    const watchJob: WatchJob = async function* ({ afterSequence }) {
      const isFirst = ++callCount === 1;
      yield* events
        .filter(({ sequence }) => sequence > afterSequence && (!isFirst || sequence < 3n))
        .map((event) => ({ event }));
      if (!isFirst) return;
      throw new ConnectError("stopping", Code.Unavailable, undefined, [
        { desc: ErrorInfoSchema, value: { reason: "SHUTTING_DOWN" } },
      ]);
    };
    await onStage({ ...playing(events), watchJob }, async ({ run }) => {
      const { exitCode, out } = await run(["jobs", "watch", jobIdOf(1)]);
      expect({ exitCode, out }).toEqual({ exitCode: 0, out: `${assetIdOf(picture)}\n` });
      expect(callCount).toBe(2);
    });
  });

  it("is waited for when a stream just ends too early", async () => {
    const events = lifeOf(1, [storedImageOf(picture)]);
    let callCount = 0;
    const watchJob: WatchJob = async function* ({ afterSequence }) {
      const all = events.filter(({ sequence }) => sequence > afterSequence);
      yield* (++callCount === 1 ? all.slice(0, 2) : all).map((event) => ({ event }));
    };
    await onStage({ ...playing(events), watchJob }, async ({ run }) => {
      expect((await run(["jobs", "watch", jobIdOf(1)])).exitCode).toBe(0);
      expect(callCount).toBe(2);
    });
  });

  it("does not hide that the job was deleted meanwhile", async () => {
    const watchJob: WatchJob = async function* () {
      yield { event: eventsOf(1, [{ case: "accepted", value: {} }])[0] };
      throw new ConnectError("gone", Code.NotFound, undefined, [
        { desc: ErrorInfoSchema, value: { reason: "JOB_NOT_FOUND" } },
      ]);
    };
    await onStage({ ...playing([]), watchJob }, async ({ run }) => {
      const { exitCode, err } = await run(["jobs", "watch", jobIdOf(1), "-q"]);
      expect({ exitCode, err }).toEqual({ exitCode: 6, err: "error: JOB_NOT_FOUND: gone\n" });
    });
  });

  it("makes a download go on with the byte after the last", async () => {
    const offsets: bigint[] = [];
    let service: StagedService | undefined;
    const methods: StagedMethods = {
      ...playing(lifeOf(1, [storedImageOf(second)])),
      async *downloadAsset(request, { signal }) {
        offsets.push(request.offset);
        const responses = downloadOf(second, request);
        if (offsets.length > 1) return yield* responses;
        yield* responses.slice(0, 2);
        service?.dropConnections();
        await untilAborted(signal);
      },
    };
    await onStage(methods, async (stage) => {
      service = stage.service;
      const path = join(stage.directory.path, "fox.png");
      const { exitCode, err } = await stage.run(["jobs", "watch", jobIdOf(1), "--out", path]);
      expect(exitCode, err).toBe(0);
      expect(await readFile(path)).toEqual(second);
      expect(offsets).toHaveLength(2);
    });
  });
});

describe("Ctrl-C", () => {
  it("stops watching, leaves the job alone, and says how to go on", async () => {
    const abort = new AbortController();
    const events = lifeOf(1, []).slice(0, 3);
    let cancelCount = 0;
    const methods: StagedMethods = {
      ...playing(events),
      async *watchJob(_, { signal }) {
        yield* events.map((event) => ({ event }));
        await untilAborted(signal);
      },
      cancelJob: () => {
        cancelCount++;
        return {};
      },
    };
    await onStage(methods, async ({ run }) => {
      const io = captureIo();
      const watching = run(["jobs", "watch", jobIdOf(1)], io, abort.signal);
      await io.errHas("Starting on gpu-a", AbortSignal.timeout(10_000));
      abort.abort();
      const { exitCode, out, err } = await watching;
      expect({ exitCode, out }).toEqual({ exitCode: 130, out: "" });
      expect(err).toContain(
        `stopped watching; the job goes on, to see the rest:\n  comfyrpc jobs watch ${jobIdOf(1)} --after 3\n`,
      );
      expect(cancelCount).toBe(0);
    });
  });

  it("ends the waiting for a service that is away", async () => {
    const abort = new AbortController();
    const methods: StagedMethods = {
      ...playing([]),
      watchJob: () => {
        throw new ConnectError("stopping", Code.Unavailable);
      },
    };
    await onStage(methods, async ({ run }) => {
      const io = captureIo();
      const watching = run(["jobs", "watch", jobIdOf(1)], io, abort.signal);
      await io.errHas("Connection lost", AbortSignal.timeout(10_000));
      abort.abort();
      expect((await watching).exitCode).toBe(130);
    });
  });
});

it.each([[[]], [[jobIdOf(1), "--after", "x"]], [[jobIdOf(1), "--out", "fox.gif"]]])(
  "refuses %j",
  async (args) => {
    await onStage({}, async ({ run }) => {
      expect(await run(["jobs", "watch", ...args])).toMatchObject({ exitCode: 2, out: "" });
    });
  },
);
