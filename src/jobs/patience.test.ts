import { describe, expect, it } from "vitest";
import { buildSpec } from "../../test/support/generations.ts";
import { ScriptedBackend } from "../../test/support/scripted-backend.ts";
import { runUntilStopped, ScriptedEngine } from "../../test/support/scripted-engine.ts";
import { caller, never, openJobsHome, plain, startAlone } from "../../test/support/start-jobs.ts";
import { waitUntil } from "../../test/support/wait-until.ts";
import { ServiceError } from "../domain/errors.ts";

describe("Patience", () => {
  it("gives up jobs that calls wait for when no backend comes up, while others wait on", async () => {
    const backend = new ScriptedBackend();
    const engine = backend.connect();
    await using alone = await startAlone(engine, { maxInFlight: 1, backendDownGraceMs: 20 });
    const { replica } = alone;
    const running = await replica.service.generate(buildSpec(), plain, caller, never);
    await replica.hears(running.id, "started");
    const attached = await replica.service.generate(buildSpec(), plain, caller, never);
    const submitted = await replica.submit();
    engine.setState("down");
    expect(await replica.end(attached.id)).toMatchObject({
      state: "failed",
      failure: { reason: "NO_BACKEND", details: { retryAfterMs: expect.any(Number) } },
    });
    expect(await replica.get(running.id)).toMatchObject({ state: "running" });
    expect(await replica.get(submitted.id)).toMatchObject({ state: "queued" });

    engine.setState("up");
    backend.finish();
    expect(await replica.end(running.id)).toMatchObject({ state: "succeeded" });
    await backend.given(2);
    backend.finish();
    expect(await replica.end(submitted.id)).toMatchObject({ state: "succeeded" });
  });

  it("keeps jobs as long as any backend is up, and while all are down for a moment", async () => {
    const [first, second] = [new ScriptedEngine(), new ScriptedEngine()];
    [first.name, second.name] = ["first", "second"];
    first.otherwise = runUntilStopped();
    await using alone = await startAlone([first, second], { maxInFlight: 1, backendDownGraceMs: 300 });
    const { replica } = alone;
    second.setState("down");
    const call = new AbortController();
    const running = await replica.service.generate(buildSpec(), plain, caller, call.signal);
    await replica.hears(running.id, "started");
    const waiting = await replica.service.generate(buildSpec(), plain, caller, never);
    for (let i = 0; i < 3; i += 1) {
      first.setState("down");
      await new Promise(setImmediate);
      first.setState("up");
      await new Promise(setImmediate);
    }
    second.setState("up");
    expect(await replica.end(waiting.id)).toMatchObject({ state: "succeeded" });
    expect(replica.faults.calls).not.toContain("failAttached");
    call.abort(new ServiceError("CANCELLED_BY_CALLER", "gone home"));
    await replica.end(running.id);
  });

  it("gives up jobs that come back into the queue later, and tries again when the store fails", async () => {
    const lose = Promise.withResolvers<void>();
    const engine = new ScriptedEngine(async function* () {
      yield { type: "started", cachedNodeIds: [] };
      await lose.promise;
      throw new ServiceError("PROMPT_LOST", "gone");
    });
    await using alone = await startAlone(engine, { backendDownGraceMs: 1 });
    const { replica } = alone;
    const job = await replica.service.generate(buildSpec(), plain, caller, never);
    await replica.hears(job.id, "started");
    replica.faults.break("failAttached");
    engine.setState("down");
    await waitUntil(() => replica.log.text.includes("cannot tell callers"), "it has failed");
    replica.faults.mend();
    lose.resolve();
    expect(await replica.end(job.id)).toMatchObject({ failure: { reason: "NO_BACKEND" } });
    expect(engine.requests).toHaveLength(1);
  });

  it("leaves alone the jobs of callers elsewhere, where a backend may be up", async () => {
    const backend = new ScriptedBackend();
    await using home = await openJobsHome();
    const cutOff = new ScriptedEngine();
    cutOff.setState("down");
    await using there = home.start(backend.connect(), { maxInFlight: 1 });
    await there.service.generate(buildSpec(), plain, caller, never);
    await backend.given(1);
    const waiting = await there.service.generate(buildSpec(), plain, caller, never);
    await using here = home.start(cutOff, { backendDownGraceMs: 1 });
    await waitUntil(() => here.faults.calls.includes("failAttached"), "it has given up");
    expect(await there.get(waiting.id)).toMatchObject({ state: "queued" });
    backend.finish();
    await backend.given(2);
    backend.finish();
    expect(await there.end(waiting.id)).toMatchObject({ state: "succeeded" });
  });
});
