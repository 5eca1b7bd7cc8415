import { describe, expect, it } from "vitest";
import { buildSpec } from "../../test/support/generations.ts";
import { ScriptedBackend } from "../../test/support/scripted-backend.ts";
import { caller, never, openJobsHome, plain, repeatable } from "../../test/support/start-jobs.ts";
import { waitUntil } from "../../test/support/wait-until.ts";
import type { LastingEvent } from "../domain/job-event.ts";
import type { RunSignals } from "../engine/engine.ts";

/** A lease that lasts, unless the clock is put forward by as much. */
const leaseMs = 1_500;
/** For a process that looks often whether it can have the lease. */
const eager = { leaseMs: 300 };

function typesOf(story: readonly LastingEvent[]): string[] {
  return story.map(({ data }) => data.type);
}

const wholeStory = ["accepted", "queued", "started", "image", "completed"];

describe("a backend that another process takes over", () => {
  it("goes on with its prompt, and the first process leaves that alone", async () => {
    const backend = new ScriptedBackend();
    await using home = await openJobsHome();
    const [engine, otherEngine] = [backend.connect(), backend.connect()];
    await using first = home.start(engine, { leaseMs });
    const { id } = await first.submit();
    await first.hears(id, "started");

    const renewals = first.faults.hold("renewLease"); // as of a process that is frozen
    home.clock.advance(leaseMs);
    await using second = home.start(otherEngine, eager);
    await waitUntil(() => otherEngine.requests.length === 1, "the second process has taken over");
    const [request] = engine.requests;
    expect(otherEngine.requests).toMatchObject([{ promptId: request?.promptId, resume: true }]);

    backend.finish(); // both see that; only one may write it
    expect(typesOf(await second.story(id))).toEqual(wholeStory);
    renewals.release();
    await waitUntil(() => first.log.text.includes("another process drives"), "the first has noticed");
    expect(typesOf(await first.story(id))).toEqual(wholeStory);
    expect(backend.prompts).toMatchObject([{ id: request?.promptId, state: "finished" }]);
    expect(engine.forgotten).toEqual([]);
    expect(engine.abandoned).toEqual([]);
    expect(otherEngine.forgotten).toEqual([request?.promptId]);
    expect(first.log.text).not.toContain("broke off");
  });

  it("is left by the first process as it is, while the prompt runs", async () => {
    const backend = new ScriptedBackend();
    await using home = await openJobsHome();
    const engine = backend.connect();
    const signals: RunSignals[] = [];
    const run = engine.otherwise;
    engine.otherwise = (request, given) => {
      signals.push(given);
      return run(request, given);
    };
    await using first = home.start(engine, { leaseMs });
    const { id } = await first.submit();
    await first.hears(id, "started");
    const renewals = first.faults.hold("renewLease");
    home.clock.advance(leaseMs);
    const otherEngine = backend.connect();
    await using second = home.start(otherEngine, eager);
    await waitUntil(() => otherEngine.requests.length === 1, "the second process has taken over");
    renewals.release();
    await waitUntil(() => signals[0]?.leave.aborted === true, "the first has left the prompt");
    expect(signals[0]?.cancel.aborted).toBe(false);
    expect(backend.prompts).toMatchObject([{ state: "running" }]);
    backend.finish();
    expect(await second.end(id)).toMatchObject({ state: "succeeded" });
    expect(engine.forgotten).toEqual([]);
  });

  it("is not driven by the first process again, also while jobs wait", async () => {
    const backend = new ScriptedBackend();
    await using home = await openJobsHome();
    const [engine, otherEngine] = [backend.connect(), backend.connect()];
    await using first = home.start(engine, { leaseMs, maxInFlight: 1 });
    const running = await first.submit();
    const waiting = await first.submit();
    await first.hears(running.id, "started");
    first.faults.break(); // for good, as far as this process can see
    home.clock.advance(leaseMs);
    await using second = home.start(otherEngine, { ...eager, maxInFlight: 1 });
    await waitUntil(() => otherEngine.requests.length === 1, "the second process has taken over");
    backend.finish();
    await second.end(running.id);
    await backend.given(2);
    backend.finish();
    expect(await second.end(waiting.id)).toMatchObject({ state: "succeeded" });
    expect(engine.requests).toHaveLength(1);
    first.faults.mend();
  });

  it("is cancelled by whoever drives it, whichever process is asked", async () => {
    const backend = new ScriptedBackend();
    await using home = await openJobsHome();
    await using first = home.start(backend.connect());
    await using second = home.start(backend.connect());
    const { id } = await first.submit();
    await first.hears(id, "started");
    expect(await second.service.cancel(id, caller, never)).toMatchObject({ foundIn: "running" });
    expect(await second.end(id)).toMatchObject({ state: "cancelled" });
    expect(backend.prompts).toMatchObject([{ state: "cancelled" }]);
  });

  it("is cancelled by whoever drives it though the message was lost, once that is known", async () => {
    const backend = new ScriptedBackend();
    await using home = await openJobsHome();
    await using first = home.start(backend.connect());
    await using second = home.start([]);
    const { id } = await first.submit();
    await first.hears(id, "started");
    first.bus.cut();
    await second.service.cancel(id, caller, never);
    expect(backend.prompts).toMatchObject([{ state: "running" }]);
    first.bus.mend();
    expect(await second.end(id)).toMatchObject({ state: "cancelled" });
  });

  it("is driven at once by another when the first process is disposed of", async () => {
    const backend = new ScriptedBackend();
    await using home = await openJobsHome();
    const first = home.start(backend.connect());
    const { id } = await first.submit();
    await first.hears(id, "started");
    const engine = backend.connect();
    await using second = home.start(engine, { leaseMs: 3_600_000 });
    await waitUntil(() => second.faults.calls.includes("acquireLease"), "it would drive the backend");
    await first[Symbol.asyncDispose]();
    await waitUntil(() => engine.requests.length === 1, "it drives the backend");
    backend.finish();
    expect(typesOf(await second.story(id))).toEqual(wholeStory);
    expect(backend.prompts).toHaveLength(1);
  });
});

describe("a restart", () => {
  it("goes on with jobs where they were", async () => {
    const backend = new ScriptedBackend();
    await using home = await openJobsHome();
    let ids: readonly string[];
    {
      await using replica = home.start(backend.connect(), { maxInFlight: 1 });
      const { jobs } = await replica.service.submitBatch(
        [buildSpec(), buildSpec()],
        repeatable("b"),
        caller,
        never,
      );
      ids = jobs.map(({ id }) => id);
      await replica.hears(ids[0] ?? "", "started");
    }
    await home.reopen();
    const engine = backend.connect();
    await using replica = home.start(engine, { maxInFlight: 1 });
    await waitUntil(() => engine.requests.length === 1, "the backend is asked");
    expect(engine.requests).toMatchObject([{ resume: true, promptId: backend.prompts[0]?.id }]);
    backend.finish();
    expect(typesOf(await replica.story(ids[0] ?? ""))).toEqual(wholeStory);
    await backend.given(2);
    backend.finish();
    const last = await replica.end(ids[1] ?? "");
    expect(last).toMatchObject({ state: "succeeded", result: { attemptCount: 1 } });
    expect(backend.prompts).toHaveLength(2);
  });

  it("finds out how jobs ended meanwhile", async () => {
    const backend = new ScriptedBackend();
    await using home = await openJobsHome();
    let id: string;
    {
      await using replica = home.start(backend.connect());
      id = (await replica.submit()).id;
      await replica.hears(id, "started");
    }
    backend.finish();
    await home.reopen();
    await using replica = home.start(backend.connect());
    const { result } = await replica.end(id);
    expect(result).toMatchObject({ attemptCount: 1, images: [{ index: 0 }] });
    const { totalMs = Number.NaN, ...phases } = result?.timings ?? {};
    expect(Object.values(phases).reduce((sum, ms) => sum + ms, 0)).toBeCloseTo(totalMs, 6);
    expect(Math.min(...Object.values(phases))).toBeGreaterThanOrEqual(0);
  });

  it("takes what was done meanwhile, however long ago the time of the jobs was up", async () => {
    const backend = new ScriptedBackend();
    const engine = backend.connect();
    const run = engine.otherwise;
    engine.otherwise = async function* (request, signals) {
      for await (const event of run(request, signals)) {
        if (event.type === "submitted" || request.promptId === backend.prompts[0]?.id) {
          yield event; // the second is in the queue of the backend, as far as this process hears
        }
      }
    };
    await using home = await openJobsHome();
    let ids: readonly string[];
    {
      await using replica = home.start(engine);
      ids = [(await replica.submit()).id, (await replica.submit()).id];
      await replica.hears(ids[0] ?? "", "started");
      await backend.given(2);
    }
    backend.finish();
    await home.reopen();
    home.clock.advance(24 * 3_600_000);
    await using replica = home.start(backend.connect());
    for (const id of ids) {
      expect(await replica.end(id)).toMatchObject({ state: "succeeded", result: { attemptCount: 1 } });
    }
    expect(backend.prompts).toHaveLength(2);
  });

  it("runs again what the backend has forgotten meanwhile", async () => {
    const backend = new ScriptedBackend();
    await using home = await openJobsHome();
    let id: string;
    {
      await using replica = home.start(backend.connect());
      id = (await replica.submit()).id;
      await replica.hears(id, "started");
    }
    backend.restart();
    await home.reopen();
    await using replica = home.start(backend.connect());
    await backend.given(2);
    backend.finish();
    expect((await replica.end(id)).result).toMatchObject({ attemptCount: 2 });
  });

  it("stops what was being cancelled", async () => {
    const backend = new ScriptedBackend();
    await using home = await openJobsHome();
    let id: string;
    {
      await using replica = home.start(backend.connect());
      id = (await replica.submit()).id;
      await replica.hears(id, "started");
      replica.faults.break("adopt"); // it dies before it knows
      await replica.service.cancel(id, caller, never);
    }
    expect(backend.prompts).toMatchObject([{ state: "running" }]);
    await home.reopen();
    await using replica = home.start(backend.connect());
    expect(await replica.end(id)).toMatchObject({
      state: "cancelled",
      failure: { reason: "CANCELLED_BY_REQUEST" },
    });
    expect(backend.prompts).toMatchObject([{ state: "cancelled" }]);
  });

  it("keeps images that were fetched before it", async () => {
    const backend = new ScriptedBackend();
    await using home = await openJobsHome();
    const engine = backend.connect();
    engine.otherwise = async function* (_request, { leave }) {
      yield { type: "started", cachedNodeIds: [] };
      yield { type: "output", output: outputOf("9") };
      await new Promise((resolve) => leave.addEventListener("abort", resolve, { once: true }));
      throw leave.reason;
    };
    let id: string;
    {
      await using replica = home.start(engine);
      id = (await replica.submit({ imageCount: 2 })).id;
      await replica.hears(id, "image");
    }
    await home.reopen();
    const opened: string[] = [];
    const other = backend.connect();
    other.otherwise = async function* () {
      yield { type: "started", cachedNodeIds: [] };
      yield { type: "finished", outputs: [outputOf("9"), outputOf("109")] };
    };
    other.contentOf = (file) => {
      opened.push(file.filename);
      return engine.contentOf(file);
    };
    await using replica = home.start(other);
    expect((await replica.end(id)).result?.images).toMatchObject([{ index: 0 }, { index: 1 }]);
    expect(opened).toEqual(["109.png"]);
    expect(typesOf(await replica.story(id))).toEqual([
      ...["accepted", "queued", "started", "image"],
      ...["image", "completed"],
    ]);
  });
});

describe("a claim whose answer was lost", () => {
  it("is found and gone on with", async () => {
    const backend = new ScriptedBackend();
    await using home = await openJobsHome();
    const engine = backend.connect();
    await using replica = home.start(engine, { leaseMs });
    await waitUntil(() => replica.faults.calls.includes("claim"), "it drives the backend");
    replica.faults.loseAnswer("claim");
    const { id } = await replica.submit({}, plain);
    await backend.given(1); // not by the attempt that nobody knew of
    backend.finish();
    expect((await replica.end(id)).result).toMatchObject({ attemptCount: 2 });
    expect(engine.requests.map(({ resume }) => resume)).toEqual([true, false]);
    expect(backend.prompts).toHaveLength(1);
  });
});

function outputOf(nodeId: string) {
  const file = { filename: `${nodeId}.png`, subfolder: "", type: "output" } as const;
  return { kind: "file", nodeId, key: "images", file } as const;
}
