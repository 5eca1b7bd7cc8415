import { describe, expect, it } from "vitest";
import { buildSpec } from "../../test/support/generations.ts";
import { ScriptedBackend } from "../../test/support/scripted-backend.ts";
import { ScriptedEngine } from "../../test/support/scripted-engine.ts";
import { caller, never, openJobsHome, repeatable, startAlone } from "../../test/support/start-jobs.ts";

describe("a request id", () => {
  it("gets the same job again while it runs, after its end, and after a restart", async () => {
    const backend = new ScriptedBackend();
    await using home = await openJobsHome();
    let id: string;
    {
      await using replica = home.start(backend.connect());
      id = (await replica.submit({}, repeatable("r"))).id;
      await replica.reaches(id, "running");
      expect(await replica.submit({}, repeatable("r"))).toMatchObject({ id, state: "running" });
      backend.finish();
      await replica.end(id);
      expect(await replica.submit({}, repeatable("r"))).toMatchObject({ id, state: "succeeded" });
    }
    await home.reopen();
    await using replica = home.start(backend.connect());
    expect(await replica.submit({}, repeatable("r"))).toMatchObject({ id, state: "succeeded" });
    expect(backend.prompts).toHaveLength(1);
  });

  it("makes one job of many equal calls at once, on several replicas", async () => {
    const backend = new ScriptedBackend();
    await using home = await openJobsHome();
    await using first = home.start(backend.connect());
    await using second = home.start(backend.connect());
    const jobs = await Promise.all(
      Array.from({ length: 50 }, (_, i) => (i % 2 === 0 ? first : second).submit({}, repeatable("r"))),
    );
    expect(new Set(jobs.map(({ id }) => id)).size).toBe(1);
    await backend.given(1);
    backend.finish();
    await first.end(jobs[0]?.id ?? "");
    expect(backend.prompts).toHaveLength(1);
    expect(await home.store.list("", { states: [], labels: {} }, 100, never)).toHaveLength(1);
  });

  it("is refused for another request, but not for that of another tenant", async () => {
    await using alone = await startAlone(new ScriptedEngine());
    const { replica } = alone;
    const { id } = await replica.submit({}, repeatable("r", "one"));
    await expect(replica.submit({}, repeatable("r", "other"))).rejects.toMatchObject({
      reason: "REQUEST_ID_REUSED",
    });
    await expect(
      replica.service.submitBatch([buildSpec()], repeatable("r", "other"), caller, never),
    ).rejects.toMatchObject({ reason: "REQUEST_ID_REUSED" });
    const other = { ...caller, tenant: "other" };
    const theirs = await replica.service.submit(buildSpec(), repeatable("r", "other"), other, never);
    expect(theirs.id).not.toBe(id);
  });

  it("is answered while no new jobs are taken", async () => {
    const engine = new ScriptedEngine();
    await using alone = await startAlone(engine);
    const { id } = await alone.replica.submit({}, repeatable("r"));
    engine.setState("down");
    alone.replica.service.close();
    expect(await alone.replica.submit({}, repeatable("r"))).toMatchObject({ id });
  });

  it("is free again when the request was refused", async () => {
    const engine = new ScriptedEngine();
    await using alone = await startAlone(engine);
    engine.setState("down");
    await expect(alone.replica.submit({}, repeatable("r"))).rejects.toMatchObject({ reason: "NO_BACKEND" });
    engine.setState("up");
    await expect(alone.replica.submit({ model: "none" }, repeatable("r"))).rejects.toMatchObject({
      reason: "MODEL_NOT_FOUND",
    });
    await alone.replica.submit({}, repeatable("r"));
  });

  it("stays taken when its job has been deleted", async () => {
    const engine = new ScriptedEngine();
    await using alone = await startAlone(engine);
    const { replica } = alone;
    const { id } = await replica.submit({}, repeatable("r"));
    await replica.end(id);
    await replica.service.delete(id, caller, never);
    await expect(replica.submit({}, repeatable("r"))).rejects.toMatchObject({ reason: "JOB_NOT_FOUND" });
    expect(engine.requests).toHaveLength(1);
  });

  it("keeps a job for a day at least, so that a repeat finds it", async () => {
    await using alone = await startAlone(new ScriptedEngine(), { retentionMs: 1_000 });
    const { id } = await alone.replica.submit({}, repeatable("r"));
    const { endTime, expireTime } = await alone.replica.end(id);
    expect(Number(expireTime) - Number(endTime)).toBe(24 * 3_600_000);
  });

  it("finds the job whose acceptance the store could not confirm", async () => {
    const engine = new ScriptedEngine();
    await using alone = await startAlone(engine);
    const { replica } = alone;
    replica.faults.loseAnswer("submit");
    await expect(replica.submit({}, repeatable("r"))).rejects.toMatchObject({ reason: "STORE_UNAVAILABLE" });
    const { id } = await replica.submit({}, repeatable("r"));
    expect(await replica.end(id)).toMatchObject({ state: "succeeded" });
    expect(engine.requests).toHaveLength(1);
  });
});
