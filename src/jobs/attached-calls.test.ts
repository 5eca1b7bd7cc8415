import { describe, expect, it, vi } from "vitest";
import { buildSpec } from "../../test/support/generations.ts";
import { ScriptedBackend } from "../../test/support/scripted-backend.ts";
import {
  caller,
  never,
  openJobsHome,
  plain,
  type Replica,
  repeatable,
  startAlone,
} from "../../test/support/start-jobs.ts";
import { waitUntil } from "../../test/support/wait-until.ts";
import { ServiceError } from "../domain/errors.ts";
import type { GenerationSpec } from "../domain/generation.ts";
import { createLogger } from "../telemetry/logger.ts";
import { AttachedCalls } from "./attached-calls.ts";

/** A call that waits for a job. */
function call(replica: Replica, options = plain, spec: Partial<GenerationSpec> = {}) {
  const controller = new AbortController();
  return {
    job: replica.service.generate(buildSpec(spec), options, caller, controller.signal),
    leave: () => controller.abort(new ServiceError("CANCELLED_BY_CALLER", "gone home")),
  };
}

/** How often the store has done something. */
function count(replica: Replica, method: "detach" | "stop"): number {
  return replica.faults.calls.filter((name) => name === method).length;
}

describe("a call that waits for a job", () => {
  it("stops the job when it goes, for its own reason", async () => {
    const backend = new ScriptedBackend();
    await using alone = await startAlone(backend.connect());
    const { replica } = alone;
    const { job, leave } = call(replica);
    const { id } = await job;
    await replica.hears(id, "started");
    leave();
    expect(await replica.end(id)).toMatchObject({
      state: "cancelled",
      failure: { reason: "CANCELLED_BY_CALLER", message: "gone home" },
    });
    expect(backend.prompts).toMatchObject([{ state: "cancelled" }]);
  });

  it("keeps the backend from ever getting the job when it goes while that waits", async () => {
    const backend = new ScriptedBackend();
    await using alone = await startAlone(backend.connect(), { maxInFlight: 1 });
    const { replica } = alone;
    const first = call(replica);
    await backend.given(1);
    const second = call(replica);
    const waiting = await second.job;
    second.leave();
    expect(await replica.end(waiting.id)).toMatchObject({ state: "cancelled" });
    first.leave();
    await replica.end((await first.job).id);
    expect(backend.prompts).toHaveLength(1);
  });

  it("lets the job go on if it says so", async () => {
    const backend = new ScriptedBackend();
    await using alone = await startAlone(backend.connect());
    const { replica } = alone;
    const { job, leave } = call(replica, plain, { detach: true });
    const { id } = await job;
    await backend.given(1);
    leave();
    backend.finish();
    expect(await replica.end(id)).toMatchObject({ state: "succeeded" });
    expect(count(replica, "detach")).toBe(0);
  });

  it("changes nothing when it goes after the end of the job", async () => {
    const backend = new ScriptedBackend();
    await using home = await openJobsHome();
    {
      await using replica = home.start(backend.connect());
      const { job, leave } = call(replica);
      const { id } = await job;
      await backend.given(1);
      backend.finish();
      const ended = await replica.end(id);
      leave();
      await waitUntil(() => count(replica, "detach") === 1, "the call has gone");
      expect(await replica.get(id)).toEqual(ended);
    }
  });

  it("stops the job when it went before the store had answered", async () => {
    const backend = new ScriptedBackend();
    await using alone = await startAlone(backend.connect());
    const { replica } = alone;
    const hold = replica.faults.holdAnswers("submit");
    const { job, leave } = call(replica);
    const left = job.catch(() => undefined);
    await hold.reached;
    leave();
    hold.release();
    await left;
    const [submitted] = await replica.service.list({ states: [], labels: {} }, 1, caller, never);
    expect(await replica.end(submitted?.id ?? "")).toMatchObject({ state: "cancelled" });
  });

  it("stops the job whose acceptance the store could not confirm", async () => {
    const backend = new ScriptedBackend();
    await using alone = await startAlone(backend.connect());
    const { replica } = alone;
    replica.faults.loseAnswer("submit");
    await expect(call(replica).job).rejects.toMatchObject({ reason: "STORE_UNAVAILABLE" });
    const [submitted] = await replica.service.list({ states: [], labels: {} }, 1, caller, never);
    expect(await replica.end(submitted?.id ?? "")).toMatchObject({ endTime: expect.any(Date) });
    expect(backend.prompts.every(({ state }) => state === "cancelled")).toBe(true);
  });

  it("submits nothing if it has gone already", async () => {
    await using alone = await startAlone(new ScriptedBackend().connect());
    const { replica } = alone;
    const { service } = replica;
    const gone = AbortSignal.abort(new ServiceError("CANCELLED_BY_CALLER", "gone home"));
    for (const options of [plain, repeatable("r")]) {
      await expect(service.generate(buildSpec(), options, caller, gone)).rejects.toMatchObject({
        reason: "CANCELLED_BY_CALLER",
      });
    }
    expect(await service.list({ states: [], labels: {} }, 1, caller, never)).toEqual([]);
  });
});

describe("calls of one request id", () => {
  it("keep the job going as long as one of them waits, on whichever replica", async () => {
    const backend = new ScriptedBackend();
    await using home = await openJobsHome();
    await using first = home.start(backend.connect(), { reconnectGraceMs: 1 });
    await using second = home.start(backend.connect(), { reconnectGraceMs: 1 });
    const one = call(first, repeatable("r"));
    const { id } = await one.job;
    const other = call(second, repeatable("r"));
    expect(await other.job).toMatchObject({ id });
    await first.hears(id, "started");
    one.leave();
    await waitUntil(() => count(first, "detach") === 1, "the first has gone");
    backend.finish();
    expect(await second.end(id)).toMatchObject({ state: "succeeded" });
    expect(count(first, "stop")).toBe(0);
  });

  it("stop the job a while after the last of them has gone", async () => {
    const backend = new ScriptedBackend();
    await using alone = await startAlone(backend.connect(), { reconnectGraceMs: 1 });
    const { replica } = alone;
    const calls = [call(replica, repeatable("r")), call(replica, repeatable("r"))];
    const [first, second] = await Promise.all(calls.map(({ job }) => job));
    expect(second?.id).toBe(first?.id);
    const id = first?.id ?? "";
    await replica.hears(id, "started");
    calls[0]?.leave();
    await waitUntil(() => count(replica, "detach") === 1, "the first has gone");
    expect(await replica.get(id)).toMatchObject({ state: "running" });
    calls[1]?.leave();
    expect(await replica.end(id)).toMatchObject({
      state: "cancelled",
      failure: { reason: "CANCELLED_BY_CALLER" },
    });
  });

  it("let the job go on if one comes within that while", async () => {
    const backend = new ScriptedBackend();
    await using home = await openJobsHome();
    await using first = home.start(backend.connect(), { reconnectGraceMs: 300 });
    await using second = home.start(backend.connect());
    const one = call(first, repeatable("r"));
    const { id } = await one.job;
    await first.hears(id, "started");
    one.leave();
    await waitUntil(() => count(first, "detach") === 1, "the first has gone");
    const again = call(second, repeatable("r"));
    expect(await again.job).toMatchObject({ id });
    await waitUntil(() => count(first, "stop") === 1, "the while has passed");
    backend.finish();
    expect(await second.end(id)).toMatchObject({ state: "succeeded" });
  });

  it("give each that goes the whole while to come back", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    try {
      const stopped: string[] = [];
      const stop = async (jobId: string) => void stopped.push(jobId);
      const store = { detach: async () => 0 };
      await using calls = new AttachedCalls(1_000, {
        store,
        stop,
        onDetached: () => {},
        logger: createLogger({ level: "silent" }),
      });
      const gone = AbortSignal.abort(new ServiceError("CANCELLED_BY_CALLER", "gone home"));
      for (const job of ["a", "b", "b"]) {
        calls.add(job, true, gone);
        await new Promise(setImmediate);
        vi.advanceTimersByTime(600);
      }
      expect(stopped).toEqual(["a"]);
      vi.advanceTimersByTime(400);
      expect(stopped).toEqual(["a", "b"]);
    } finally {
      vi.useRealTimers();
    }
  });

  it("count also if one went before the store had answered", async () => {
    const backend = new ScriptedBackend();
    await using alone = await startAlone(backend.connect(), { reconnectGraceMs: 1 });
    const { replica } = alone;
    const first = call(replica, repeatable("r"));
    const { id } = await first.job;
    await replica.hears(id, "started");
    const hold = replica.faults.holdAnswers("findRepeat");
    const second = call(replica, repeatable("r"));
    const left = second.job.catch(() => undefined);
    await hold.reached;
    second.leave();
    hold.release();
    await left;
    await waitUntil(() => count(replica, "detach") === 1, "the second has gone");
    first.leave();
    expect(await replica.end(id)).toMatchObject({ state: "cancelled" });
  });

  it("leave the job to another process when theirs ends within that while", async () => {
    const backend = new ScriptedBackend();
    await using home = await openJobsHome();
    let id: string;
    {
      await using first = home.start(backend.connect());
      const one = call(first, repeatable("r"));
      id = (await one.job).id;
      await first.hears(id, "started");
      one.leave();
    }
    await home.reopen();
    await using second = home.start(backend.connect(), { reconnectGraceMs: 1 });
    const again = call(second, repeatable("r"));
    expect(await again.job).toMatchObject({ id, state: "running" });
    again.leave();
    expect(await second.end(id)).toMatchObject({ state: "cancelled" });
    expect(backend.prompts).toHaveLength(1);
  });
});
