import { describe, expect, it } from "vitest";
import {
  failWith,
  type RunScript,
  runUntilStopped,
  ScriptedEngine,
  succeed,
} from "../../test/support/scripted-engine.ts";
import { ServiceError } from "../domain/errors.ts";
import type { GenerationSpec } from "../domain/generation.ts";
import type { JobEvent } from "../domain/job-event.ts";
import { sharpImageCodec } from "../imaging/sharp/sharp-image-codec.ts";
import { systemClock } from "../lib/clock.ts";
import { openTemporaryBlobStore } from "../storage/filesystem/filesystem-blob-store.ts";
import { createLogger } from "../telemetry/logger.ts";
import type { Job } from "./job.ts";
import { JobService, type JobServiceOptions } from "./job-service.ts";

const never = new AbortController().signal;

const spec: GenerationSpec = {
  prompt: "a red fox",
  negativePrompt: "",
  model: "",
  sampler: "",
  scheduler: "",
  loras: [],
  vae: "",
  output: {},
};

interface Fixture extends AsyncDisposable {
  readonly engine: ScriptedEngine;
  readonly jobs: JobService;
}

async function open(
  scripts: readonly RunScript[],
  options: Partial<JobServiceOptions & { maxRunMs: number }> = {},
) {
  await using stack = new AsyncDisposableStack();
  const engine = stack.use(new ScriptedEngine(...scripts));
  const blobs = stack.use(await openTemporaryBlobStore());
  const jobs = stack.use(
    new JobService(
      {
        maxInFlight: 2,
        maxQueued: 10,
        maxQueueMs: 60_000,
        backendDownGraceMs: 60_000,
        maxAttempts: 3,
        limits: { maxPixels: 4_194_304, maxSteps: 150, maxImageCount: 10 },
        defaultModel: "",
        logPrompts: false,
        catalogMaxAgeMs: 60_000,
        ...options,
      },
      {
        engine,
        blobs,
        codec: sharpImageCodec,
        clock: systemClock,
        logger: createLogger({ level: "silent" }),
        maxRunMs: options.maxRunMs ?? 60_000,
        randomSeed: () => 7n,
      },
    ),
  );
  const owned = stack.move();
  return { engine, jobs, [Symbol.asyncDispose]: () => owned.disposeAsync() } satisfies Fixture;
}

/** Reads the job to its end and says how it ended. */
async function outcome(job: Job): Promise<{ readonly events: JobEvent[]; readonly error: unknown }> {
  const events: JobEvent[] = [];
  try {
    for await (const event of job.events(0n, AbortSignal.timeout(10_000))) {
      events.push(event);
    }
    return { events, error: undefined };
  } catch (error) {
    return { events, error };
  }
}

describe("JobService", () => {
  it("tells the whole story of a job in order", async () => {
    await using fixture = await open([succeed]);
    const job = await fixture.jobs.submit(spec, "request-1", never);
    const { events, error } = await outcome(job);
    expect(error).toBeUndefined();
    expect(events.map(({ data }) => data.type)).toEqual([
      "accepted",
      "queued",
      "started",
      "image",
      "completed",
    ]);
    expect(events.at(-1)?.data).toMatchObject({
      result: {
        attemptCount: 1,
        images: [{ index: 0, widthPx: 1, heightPx: 1, seed: 7n }],
        backend: { name: "scripted" },
      },
    });
    expect(job.state).toBe("succeeded");
  });

  it("has the phases of a job add up to its whole time", async () => {
    await using fixture = await open([succeed]);
    const { events } = await outcome(await fixture.jobs.submit(spec, "request-1", never));
    const end = events.at(-1)?.data;
    const timings = end?.type === "completed" ? end.result.timings : undefined;
    const { totalMs = Number.NaN, ...phases } = timings ?? {};
    expect(Object.values(phases).reduce((sum, ms) => sum + ms, 0)).toBeCloseTo(totalMs, 6);
  });

  it("tells the backend to forget a prompt whose images it has", async () => {
    const fixture = await open([succeed]);
    await outcome(await fixture.jobs.submit(spec, "request-1", never));
    await fixture[Symbol.asyncDispose]();
    expect(fixture.engine.forgotten).toEqual(fixture.engine.requests.map(({ promptId }) => promptId));
  });

  it.each(["PROMPT_LOST", "PROMPT_INTERRUPTED"] as const)(
    "runs a job again, under a new prompt id, after %s",
    async (reason) => {
      await using fixture = await open([failWith(new ServiceError(reason, "gone")), succeed]);
      const { events, error } = await outcome(await fixture.jobs.submit(spec, "request-1", never));
      expect(error).toBeUndefined();
      expect(events.at(-1)?.data).toMatchObject({ result: { attemptCount: 2 } });
      expect(new Set(fixture.engine.requests.map(({ promptId }) => promptId)).size).toBe(2);
    },
  );

  it("offers a job again that the backend did not take, for as long as it may be away, and counts no attempt", async () => {
    const refused: RunScript = () => {
      throw new ServiceError("NO_BACKEND", "refused");
    };
    await using fixture = await open([refused, refused, succeed]);
    const { events } = await outcome(await fixture.jobs.submit(spec, "request-1", never));
    expect(events.at(-1)?.data).toMatchObject({ result: { attemptCount: 1 } });
    expect(new Set(fixture.engine.requests.map(({ promptId }) => promptId)).size).toBe(3);

    await using impatient = await open(Array(9).fill(refused), { backendDownGraceMs: 1 });
    expect((await outcome(await impatient.jobs.submit(spec, "request-1", never))).error).toMatchObject({
      reason: "NO_BACKEND",
    });
  });

  it("bounds the wait of a second attempt as it does that of the first, and counts no job before itself", async () => {
    const lost: RunScript = async function* () {
      yield { type: "started", cachedNodeIds: [] };
      throw new ServiceError("PROMPT_LOST", "gone");
    };
    const neverStarts: RunScript = async function* (_request, signal) {
      yield { type: "submitted" };
      await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
      throw new ServiceError("CANCELLED_BY_CALLER", "stopped");
    };
    await using fixture = await open([lost, neverStarts], { maxQueueMs: 50 });
    const { events, error } = await outcome(await fixture.jobs.submit(spec, "request-1", never));
    expect(error).toMatchObject({ reason: "JOB_TIMEOUT" });
    expect(events.flatMap(({ data }) => (data.type === "queued" ? [data] : []))).toMatchObject([
      { attempt: 1, jobsAhead: 0 },
      { attempt: 2, jobsAhead: 0 },
    ]);
  });

  it("gives up a job that was lost as often as it may be tried", async () => {
    const lost = failWith(new ServiceError("PROMPT_LOST", "gone"));
    await using fixture = await open([lost, lost, lost, succeed]);
    const job = await fixture.jobs.submit(spec, "request-1", never);
    expect((await outcome(job)).error).toMatchObject({ reason: "BACKEND_LOST" });
    expect(fixture.engine.requests).toHaveLength(3);
    expect(job.state).toBe("failed");
  });

  it("frees the memory of the backend and tries once more when it ran out", async () => {
    const outOfMemory = failWith(new ServiceError("OUT_OF_MEMORY", "too big"));
    await using fixture = await open([outOfMemory, succeed, outOfMemory, outOfMemory, succeed]);
    expect((await outcome(await fixture.jobs.submit(spec, "request-1", never))).error).toBeUndefined();
    expect(fixture.engine.memoryFreedCount).toBe(1);
    expect((await outcome(await fixture.jobs.submit(spec, "request-1", never))).error).toMatchObject({
      reason: "OUT_OF_MEMORY",
    });
    expect(fixture.engine.memoryFreedCount).toBe(2);
  });

  it.each(["NODE_FAILED", "WORKFLOW_REJECTED", "BACKEND_LOST", "BACKEND_STALLED", "NO_OUTPUT"] as const)(
    "does not repeat a job that failed with %s",
    async (reason) => {
      await using fixture = await open([failWith(new ServiceError(reason, "why")), succeed]);
      expect((await outcome(await fixture.jobs.submit(spec, "request-1", never))).error).toMatchObject({
        reason,
      });
      expect(fixture.engine.requests).toHaveLength(1);
    },
  );

  it("stops the work on the backend when the owner of the job goes away, with the owner's reason", async () => {
    const started = Promise.withResolvers<void>();
    await using fixture = await open([runUntilStopped(started.resolve)]);
    const owner = new AbortController();
    const job = await fixture.jobs.submit(spec, "request-1", owner.signal);
    await started.promise;
    owner.abort(new ServiceError("CANCELLED_BY_CALLER", "gone home"));
    expect((await outcome(job)).error).toMatchObject({
      cause: owner.signal.reason,
      details: { metadata: { job_id: job.id } },
    });
    expect(job.state).toBe("cancelled");
  });

  it("never gives a job to the backend whose owner went away while it waited", async () => {
    const started = Promise.withResolvers<void>();
    await using fixture = await open([runUntilStopped(started.resolve)], { maxInFlight: 1 });
    const [first, second] = [new AbortController(), new AbortController()];
    const running = await fixture.jobs.submit(spec, "request-1", first.signal);
    const waiting = await fixture.jobs.submit(spec, "request-1", second.signal);
    await started.promise;
    second.abort(new ServiceError("CANCELLED_BY_CALLER", "gone home"));
    await waiting.ended;
    first.abort(new ServiceError("CANCELLED_BY_CALLER", "gone home"));
    await running.ended;
    expect(fixture.engine.requests).toHaveLength(1);
    expect(waiting.state).toBe("cancelled");
  });

  it("stops a job that runs for too long, with JOB_TIMEOUT", async () => {
    await using fixture = await open([runUntilStopped()], { maxRunMs: 20 });
    const job = await fixture.jobs.submit(spec, "request-1", never);
    expect((await outcome(job)).error).toMatchObject({ reason: "JOB_TIMEOUT" });
    expect(job.state).toBe("failed");
  });

  it("lets a job expire that waits for too long", async () => {
    await using fixture = await open([runUntilStopped()], { maxInFlight: 1, maxQueueMs: 20 });
    const owner = new AbortController();
    await fixture.jobs.submit(spec, "request-1", owner.signal);
    const waiting = await fixture.jobs.submit(spec, "request-1", never);
    expect((await outcome(waiting)).error).toMatchObject({ reason: "JOB_TIMEOUT" });
    expect(waiting.state).toBe("expired");
    owner.abort(new ServiceError("CANCELLED_BY_CALLER", "done"));
  });

  it("runs jobs in the order in which they came, no more at once than allowed", async () => {
    const order: string[] = [];
    let atOnce = 0;
    let most = 0;
    const script: RunScript = async function* (request) {
      order.push(`${request.graph[6]?.inputs.text}`);
      most = Math.max(most, ++atOnce);
      for await (const event of succeed(request)) {
        atOnce -= event.type === "finished" ? 1 : 0;
        yield event;
      }
    };
    await using fixture = await open(Array(8).fill(script));
    const jobs = [];
    for (let i = 0; i < 8; i++) {
      jobs.push(await fixture.jobs.submit({ ...spec, prompt: `${i}` }, "request-1", never));
    }
    await Promise.all(jobs.map(({ ended }) => ended));
    expect(order).toEqual(["0", "1", "2", "3", "4", "5", "6", "7"]);
    expect(most).toBeLessThanOrEqual(2);
  });

  it("gives the next job to the engine while the images of the last one are still being fetched", async () => {
    const [fetched, secondRuns] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const second: RunScript = async function* (request) {
      secondRuns.resolve();
      yield* succeed(request);
    };
    await using fixture = await open([succeed, second], { maxInFlight: 1 });
    fixture.engine.outputsReady = fetched.promise;
    const jobs = [
      await fixture.jobs.submit(spec, "request-1", never),
      await fixture.jobs.submit(spec, "request-1", never),
    ];
    await secondRuns.promise;
    expect(jobs.map(({ state }) => state)).toEqual(["running", "running"]);
    fetched.resolve();
    await Promise.all(jobs.map(({ ended }) => ended));
    expect(jobs.map(({ state }) => state)).toEqual(["succeeded", "succeeded"]);
  });

  it("refuses jobs beyond the bound of its queue and says when to come again", async () => {
    await using fixture = await open([runUntilStopped()], { maxInFlight: 1, maxQueued: 1 });
    await fixture.jobs.submit(spec, "request-1", never);
    await fixture.jobs.submit(spec, "request-1", never);
    await expect(fixture.jobs.submit(spec, "request-1", never)).rejects.toMatchObject({
      reason: "QUEUE_FULL",
      details: { retryAfterMs: expect.any(Number) },
    });
  });

  it("refuses jobs while the backend is down, and takes them again when it is up", async () => {
    await using fixture = await open([]);
    fixture.engine.setState("down");
    await expect(fixture.jobs.submit(spec, "request-1", never)).rejects.toMatchObject({
      reason: "NO_BACKEND",
    });
    fixture.engine.setState("up");
    expect((await outcome(await fixture.jobs.submit(spec, "request-1", never))).error).toBeUndefined();
  });

  it("keeps waiting jobs while the backend is down for a moment, and gives them up when it stays down", async () => {
    const started = Promise.withResolvers<void>();
    await using fixture = await open([runUntilStopped(started.resolve)], {
      maxInFlight: 1,
      backendDownGraceMs: 20,
    });
    const owner = new AbortController();
    await fixture.jobs.submit(spec, "request-1", owner.signal);
    const waiting = await fixture.jobs.submit(spec, "request-1", never);
    await started.promise;
    fixture.engine.setState("down");
    expect((await outcome(waiting)).error).toMatchObject({ reason: "NO_BACKEND" });
    owner.abort(new ServiceError("CANCELLED_BY_CALLER", "done"));
  });

  it("does not keep a job that is lost when the backend has been down for too long", async () => {
    const lost = Promise.withResolvers<void>();
    const script: RunScript = async function* () {
      yield { type: "started", cachedNodeIds: [] };
      await lost.promise;
      throw new ServiceError("NO_BACKEND", "gone");
    };
    const started = Promise.withResolvers<void>();
    await using fixture = await open([script, runUntilStopped(started.resolve)], {
      backendDownGraceMs: 20,
      maxInFlight: 2,
    });
    const owner = new AbortController();
    const job = await fixture.jobs.submit(spec, "request-1", never);
    await fixture.jobs.submit(spec, "request-1", owner.signal);
    const waiting = await fixture.jobs.submit(spec, "request-1", never);
    await started.promise;
    fixture.engine.setState("down");
    await waiting.ended;
    lost.resolve();
    expect((await outcome(job)).error).toMatchObject({ reason: "NO_BACKEND" });
    owner.abort(new ServiceError("CANCELLED_BY_CALLER", "done"));
  });

  it("ends every job with SHUTTING_DOWN when it is disposed of", async () => {
    const started = Promise.withResolvers<void>();
    const fixture = await open([runUntilStopped(started.resolve)], { maxInFlight: 1 });
    const jobs = [
      await fixture.jobs.submit(spec, "request-1", never),
      await fixture.jobs.submit(spec, "request-1", never),
    ];
    await started.promise;
    await fixture[Symbol.asyncDispose]();
    for (const job of jobs) {
      expect((await outcome(job)).error).toMatchObject({ reason: "SHUTTING_DOWN" });
    }
    await expect(fixture.jobs.submit(spec, "request-1", never)).rejects.toMatchObject({
      reason: "SHUTTING_DOWN",
    });
  });
});
