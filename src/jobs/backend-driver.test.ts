import { once } from "node:events";
import { describe, expect, it } from "vitest";
import { buildSpec } from "../../test/support/generations.ts";
import { ScriptedBackend } from "../../test/support/scripted-backend.ts";
import {
  failWith,
  type RunScript,
  runUntilStopped,
  ScriptedEngine,
  succeed,
} from "../../test/support/scripted-engine.ts";
import { caller, never, openJobsHome, startAlone } from "../../test/support/start-jobs.ts";
import { waitUntil } from "../../test/support/wait-until.ts";
import { type ErrorReason, ServiceError } from "../domain/errors.ts";
import type { RunEvent } from "../engine/engine.ts";

/** A run that the backend does not take. */
const refused: RunScript = () => {
  throw new ServiceError("NO_BACKEND", "refused");
};

function failing(reason: ErrorReason): RunScript {
  return failWith(new ServiceError(reason, `because of ${reason}`));
}

function promptIds(engine: ScriptedEngine): Set<string> {
  return new Set(engine.requests.map(({ promptId }) => promptId));
}

describe("BackendDriver", () => {
  it("runs jobs in the order in which they came, no more at once than allowed", async () => {
    const order: string[] = [];
    let atOnce = 0;
    let most = 0;
    const engine = new ScriptedEngine();
    engine.otherwise = async function* (request): AsyncGenerator<RunEvent> {
      order.push(`${request.graph[6]?.inputs.text}`);
      most = Math.max(most, ++atOnce);
      for await (const event of succeed(request)) {
        atOnce -= event.type === "finished" ? 1 : 0;
        yield event;
      }
    };
    await using alone = await startAlone(engine);
    const { replica } = alone;
    const prompts = ["0", "1", "2", "3", "4", "5", "6", "7"];
    const jobs = [];
    for (const prompt of prompts) {
      jobs.push(await replica.submit({ prompt }));
    }
    await Promise.all(jobs.map(({ id }) => replica.end(id)));
    expect(order).toEqual(prompts);
    expect(most).toBeLessThanOrEqual(2);
  });

  it("gives the next job to the backend while the images of the last one are still being fetched", async () => {
    const fetched = Promise.withResolvers<void>();
    const engine = new ScriptedEngine();
    engine.outputsReady = fetched.promise;
    await using alone = await startAlone(engine, { maxInFlight: 1 });
    const { replica } = alone;
    const jobs = [await replica.submit(), await replica.submit()];
    await waitUntil(() => engine.requests.length === 2, "both have been given to the backend");
    for (const { id } of jobs) {
      expect(await replica.get(id)).toMatchObject({ state: "running" });
    }
    fetched.resolve();
    for (const { id } of jobs) {
      expect(await replica.end(id)).toMatchObject({ state: "succeeded" });
    }
  });

  it("has the backend forget a prompt only when the end of the job is on disk", async () => {
    const fetched = Promise.withResolvers<void>();
    const engine = new ScriptedEngine();
    engine.outputsReady = fetched.promise;
    await using alone = await startAlone(engine);
    const { replica } = alone;
    const { id } = await replica.submit();
    await replica.hears(id, "started");
    const hold = replica.faults.hold("record");
    fetched.resolve();
    await hold.reached;
    await new Promise(setImmediate);
    expect(engine.forgotten).toEqual([]);
    hold.release();
    await replica.end(id);
    await waitUntil(() => engine.forgotten.length > 0, "the prompt is forgotten");
    expect(engine.forgotten).toEqual([...promptIds(engine)]);
  });

  it.each(["PROMPT_LOST", "PROMPT_INTERRUPTED"] as const)(
    "runs a job again, under a new prompt id, after %s",
    async (reason) => {
      const engine = new ScriptedEngine(failing(reason));
      await using alone = await startAlone(engine);
      const { id } = await alone.replica.submit();
      expect((await alone.replica.end(id)).result).toMatchObject({ attemptCount: 2 });
      expect(promptIds(engine).size).toBe(2);
      expect(engine.requests.map(({ resume }) => resume)).toEqual([false, false]);
      expect((await alone.replica.story(id)).map(({ data }) => data.type)).toEqual([
        "accepted",
        "queued",
        "started",
        "queued",
        "started",
        "image",
        "completed",
      ]);
    },
  );

  it("offers a job again that the backend did not take, and counts no attempt", async () => {
    const engine = new ScriptedEngine(refused, refused);
    await using alone = await startAlone(engine);
    const { id } = await alone.replica.submit();
    expect((await alone.replica.end(id)).result).toMatchObject({ attemptCount: 1 });
    expect(promptIds(engine).size).toBe(3);
  });

  it("gives up a job that the backend does not take for too long", async () => {
    const engine = new ScriptedEngine();
    engine.otherwise = refused;
    await using alone = await startAlone(engine, { backendDownGraceMs: 1 });
    const { id } = await alone.replica.submit();
    expect(await alone.replica.end(id)).toMatchObject({ state: "failed", failure: { reason: "NO_BACKEND" } });
  });

  it("gives up a job that was lost as often as it may be tried", async () => {
    const lost = failing("PROMPT_LOST");
    const engine = new ScriptedEngine(lost, lost, lost);
    await using alone = await startAlone(engine);
    const { id } = await alone.replica.submit();
    expect(await alone.replica.end(id)).toMatchObject({
      state: "failed",
      failure: { reason: "BACKEND_LOST", details: { retryAfterMs: expect.any(Number) } },
    });
    expect(engine.requests).toHaveLength(3);
  });

  it("follows a prompt that its backend was out of reach with when that is back", async () => {
    const engine = new ScriptedEngine(failing("BACKEND_LOST"));
    await using alone = await startAlone(engine);
    const { id } = await alone.replica.submit();
    expect((await alone.replica.end(id)).result).toMatchObject({ attemptCount: 1 });
    expect(promptIds(engine).size).toBe(1);
    expect(engine.requests.map(({ resume }) => resume)).toEqual([false, true]);
    expect(engine.abandoned).toEqual([]);
  });

  it("runs a job on another backend whose own is out of reach, and has the prompt there cancelled", async () => {
    const [lost, other] = [new ScriptedEngine(), new ScriptedEngine()];
    [lost.name, other.name] = ["lost", "other"];
    other.setState("down");
    lost.otherwise = async function* () {
      yield { type: "started", cachedNodeIds: [] };
      lost.setState("down");
      other.setState("up");
      throw new ServiceError("BACKEND_LOST", "gone");
    };
    await using alone = await startAlone([lost, other]);
    const { id } = await alone.replica.submit();
    expect((await alone.replica.end(id)).result).toMatchObject({
      attemptCount: 2,
      backend: { name: "other" },
    });
    expect(lost.abandoned).toEqual([...promptIds(lost)]);
    expect(promptIds(other)).not.toEqual(promptIds(lost));
  });

  it("frees the memory of the backend and tries once more when it ran out", async () => {
    const outOfMemory = failing("OUT_OF_MEMORY");
    const engine = new ScriptedEngine(outOfMemory, succeed, outOfMemory, outOfMemory);
    await using alone = await startAlone(engine);
    const { replica } = alone;
    expect(await replica.end((await replica.submit()).id)).toMatchObject({ state: "succeeded" });
    expect(engine.memoryFreedCount).toBe(1);
    expect(await replica.end((await replica.submit()).id)).toMatchObject({
      state: "failed",
      failure: { reason: "OUT_OF_MEMORY" },
    });
    expect(engine.memoryFreedCount).toBe(2);
  });

  it("runs a job once more whose outputs have gone", async () => {
    const gone = failing("NO_OUTPUT");
    const engine = new ScriptedEngine(gone, succeed, gone, gone);
    await using alone = await startAlone(engine);
    const { replica } = alone;
    expect(await replica.end((await replica.submit()).id)).toMatchObject({ state: "succeeded" });
    expect(await replica.end((await replica.submit()).id)).toMatchObject({
      failure: { reason: "NO_OUTPUT" },
    });
  });

  it.each(["NODE_FAILED", "WORKFLOW_REJECTED", "BACKEND_STALLED", "BACKEND_PROTOCOL"] as const)(
    "does not repeat a job that failed with %s",
    async (reason) => {
      const engine = new ScriptedEngine(failing(reason));
      await using alone = await startAlone(engine);
      const { id } = await alone.replica.submit();
      expect(await alone.replica.end(id)).toMatchObject({ state: "failed", failure: { reason } });
      expect(engine.requests).toHaveLength(1);
    },
  );

  it("says which nodes failed by their titles", async () => {
    const node = { nodeId: "3", classType: "KSampler", errorType: "e", message: "m" };
    const error = new ServiceError("NODE_FAILED", "why", { nodes: [node] });
    await using alone = await startAlone(new ScriptedEngine(failWith(error)));
    const { failure } = await alone.replica.end((await alone.replica.submit()).id);
    expect(failure?.details.nodes).toEqual([{ ...node, title: "Sample image" }]);
  });

  it("ends a job by a fault of ours without telling what it was, and goes on with others", async () => {
    const broken: RunScript = () => {
      throw new TypeError("secret");
    };
    await using alone = await startAlone(new ScriptedEngine(broken));
    const { replica } = alone;
    expect(await replica.end((await replica.submit()).id)).toMatchObject({
      state: "failed",
      failure: { reason: "INTERNAL", message: "internal error", details: {} },
    });
    expect(await replica.end((await replica.submit()).id)).toMatchObject({ state: "succeeded" });
  });

  it("ends a job whose events cannot be written, by no fault of the store", async () => {
    const engine = new ScriptedEngine();
    await using alone = await startAlone(engine);
    const { replica } = alone;
    replica.faults.makeImpossible("record", (args) => writesEvent(args, "completed"));
    const { id } = await replica.submit();
    expect(await replica.end(id)).toMatchObject({ state: "failed", failure: { reason: "INTERNAL" } });
    expect(engine.requests).toHaveLength(1);
    expect(engine.abandoned).toEqual([...promptIds(engine)]);
    expect(replica.log.text).toContain("this cannot be done");
  });

  it("stops a job that is cancelled in the moment in which it is put back", async () => {
    const freed = Promise.withResolvers<void>();
    const freeing = Promise.withResolvers<void>();
    const engine = new ScriptedEngine(failing("OUT_OF_MEMORY"), runUntilStopped());
    engine.freeMemory = async () => {
      freeing.resolve();
      await freed.promise;
    };
    await using alone = await startAlone(engine, { leaseMs: 3_600_000 });
    const { replica } = alone;
    const { id } = await replica.submit();
    await freeing.promise;
    await replica.hears(id, "started");
    const hold = replica.faults.holdAnswers("adopt");
    expect(await replica.service.cancel(id, caller, never)).toMatchObject({ foundIn: "running" });
    await hold.reached;
    hold.release();
    await new Promise(setImmediate); // the run has heard of it
    freed.resolve();
    expect(await replica.end(id)).toMatchObject({ state: "cancelled" });
  });

  it("takes a lease whose taking the store could not confirm", async () => {
    await using home = await openJobsHome();
    const replica = home.start(new ScriptedEngine(), { leaseMs: 200 });
    replica.faults.loseAnswer("acquireLease");
    await using _ = replica;
    expect(await replica.end((await replica.submit()).id)).toMatchObject({ state: "succeeded" });
    expect(replica.faults.calls.filter((name) => name === "acquireLease").length).toBeGreaterThan(1);
  });

  describe("bounds", () => {
    it("how long a job runs", async () => {
      const engine = new ScriptedEngine(runUntilStopped());
      await using alone = await startAlone(engine, { maxRunMs: 20 });
      const { id } = await alone.replica.submit();
      expect(await alone.replica.end(id)).toMatchObject({
        state: "failed",
        failure: { reason: "JOB_TIMEOUT" },
      });
    });

    it("how long a job waits that no backend is given", async () => {
      const engine = new ScriptedEngine(runUntilStopped());
      await using alone = await startAlone(engine, { maxInFlight: 1, maxQueueMs: 1 });
      const { replica } = alone;
      const first = await replica.submit();
      const waiting = await replica.submit();
      expect(await replica.end(waiting.id)).toMatchObject({
        state: "expired",
        failure: { reason: "JOB_TIMEOUT" },
      });
      await replica.service.cancel(first.id, caller, never);
      await replica.end(first.id);
    });

    it("how long a job waits that its backend does not begin, the second time too", async () => {
      const neverStarts: RunScript = async function* (_request, { cancel }) {
        yield { type: "submitted" };
        if (!cancel.aborted) {
          await once(cancel, "abort");
        }
        throw new ServiceError("CANCELLED_BY_CALLER", "stopped");
      };
      const engine = new ScriptedEngine(failing("PROMPT_LOST"), neverStarts);
      await using alone = await startAlone(engine, { maxQueueMs: 1_000 });
      const { id } = await alone.replica.submit();
      const story = await alone.replica.story(id);
      expect(story.at(-1)?.data).toMatchObject({ state: "failed", failure: { reason: "JOB_TIMEOUT" } });
      expect(story.flatMap(({ data }) => (data.type === "queued" ? [data] : []))).toMatchObject([
        { attempt: 1, jobsAhead: 0 },
        { attempt: 2, jobsAhead: 0 },
      ]);
    });
  });

  it("does not take up what it has just put back, though the store says so late", async () => {
    const lose = Promise.withResolvers<void>();
    const lost: RunScript = async function* () {
      yield { type: "started", cachedNodeIds: [] };
      await lose.promise;
      throw new ServiceError("PROMPT_LOST", "gone");
    };
    const engine = new ScriptedEngine(lost);
    await using alone = await startAlone(engine);
    const { replica } = alone;
    const { id } = await replica.submit();
    await replica.hears(id, "started");
    const hold = replica.faults.holdAnswers("adopt");
    replica.bus.mend(); // has it look for what runs
    await hold.reached;
    lose.resolve();
    await replica.reaches(id, "queued");
    await new Promise(setImmediate);
    hold.release();
    expect(await replica.end(id)).toMatchObject({ state: "succeeded" });
    expect(engine.requests.map(({ resume }) => resume)).toEqual([false, false]);
  });

  it("keeps to a job that it was given anew before it knew that the job was back in the queue", async () => {
    const started = Promise.withResolvers<void>();
    const engine = new ScriptedEngine(failing("PROMPT_LOST"), runUntilStopped(started.resolve));
    await using alone = await startAlone(engine, { maxInFlight: 3 });
    const { replica } = alone;
    const hold = replica.faults.holdAnswers("record");
    const { id } = await replica.submit();
    await hold.reached;
    await waitUntil(async () => (await alone.home.store.get("", id, never))?.state !== "running", "put back");
    await replica.submit(); // has it ask for jobs
    await started.promise;
    hold.release();
    await waitUntil(() => engine.requests.length === 3, "the other job runs");
    replica.bus.mend();
    await replica.service.cancel(id, caller, never);
    expect(await replica.end(id)).toMatchObject({ state: "cancelled" });
    expect(engine.requests.map(({ resume }) => resume)).toEqual([false, false, false]);
  });

  describe("when disposed of", () => {
    it("leaves jobs as they are on the backend, and gives back its lease", async () => {
      const backend = new ScriptedBackend();
      await using home = await openJobsHome();
      const engine = backend.connect();
      const replica = home.start(engine);
      const { id } = await replica.submit();
      await replica.hears(id, "started");
      await replica[Symbol.asyncDispose]();
      expect(backend.prompts).toMatchObject([{ state: "running" }]);
      expect(engine.forgotten).toEqual([]);
      expect(await home.store.get("", id, never)).toMatchObject({ state: "running" });
      expect(await home.store.acquireLease(backend.name, "other", 1, never)).toBeDefined();
    });

    it("waits for jobs that are being cancelled", async () => {
      const backend = new ScriptedBackend();
      await using home = await openJobsHome();
      const replica = home.start(backend.connect());
      const call = new AbortController();
      const job = await replica.service.generate(buildSpec(), { labels: {}, note: "" }, caller, call.signal);
      await replica.hears(job.id, "started");
      call.abort(new ServiceError("SHUTTING_DOWN", "the server is shutting down"));
      await replica[Symbol.asyncDispose]();
      expect(backend.prompts).toMatchObject([{ state: "cancelled" }]);
      expect(await home.store.get("", job.id, never)).toMatchObject({
        state: "cancelled",
        failure: { reason: "SHUTTING_DOWN" },
      });
    });

    it("does not wait for a store that is out of order", async () => {
      const backend = new ScriptedBackend();
      await using home = await openJobsHome();
      const replica = home.start(backend.connect());
      const { id } = await replica.submit();
      await replica.hears(id, "started");
      replica.faults.break("record");
      backend.finish();
      await waitUntil(() => replica.log.text.includes("cannot write"), "it has tried to write the end");
      await replica[Symbol.asyncDispose]();
      await using next = home.start(backend.connect(), { leaseMs: 100 });
      home.clock.advance(60_000);
      expect(await next.end(id)).toMatchObject({ state: "succeeded" });
      expect(backend.prompts).toHaveLength(1);
    });
  });
});

/** Whether the arguments of `record` have an event of this type. */
function writesEvent(args: unknown, type: string): boolean {
  return JSON.stringify(args, (_, value: unknown) =>
    typeof value === "bigint" ? `${value}` : value,
  ).includes(`"type":"${type}"`);
}
