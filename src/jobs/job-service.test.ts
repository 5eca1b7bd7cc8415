import { describe, expect, it } from "vitest";
import { buildSpec } from "../../test/support/generations.ts";
import { ScriptedBackend } from "../../test/support/scripted-backend.ts";
import { runUntilStopped, ScriptedEngine, succeed } from "../../test/support/scripted-engine.ts";
import { caller, never, plain, startAlone } from "../../test/support/start-jobs.ts";
import { waitUntil } from "../../test/support/wait-until.ts";
import { ServiceError } from "../domain/errors.ts";

const absent = "00000000-0000-4000-8000-000000000000";

describe("JobService", () => {
  it("tells the whole story of a job in order", async () => {
    await using alone = await startAlone(new ScriptedEngine(succeed));
    const { id } = await alone.replica.submit();
    const story = await alone.replica.story(id);
    expect(story.map(({ data }) => data.type)).toEqual([
      "accepted",
      "queued",
      "started",
      "image",
      "completed",
    ]);
    expect(story.map(({ sequence }) => sequence)).toEqual([1n, 2n, 3n, 4n, 5n]);
    expect(story.at(-1)?.data).toMatchObject({
      result: {
        attemptCount: 1,
        images: [{ index: 0, widthPx: 1, heightPx: 1, seed: 7n }],
        backend: { name: "scripted", comfyUiVersion: "1.2.3" },
      },
    });
    expect(await alone.replica.get(id)).toMatchObject({ state: "succeeded", lastSequence: 5n });
  });

  it("has accepted a job only when it is on disk", async () => {
    await using alone = await startAlone(new ScriptedEngine(runUntilStopped()));
    const job = await alone.replica.submit();
    expect(await alone.home.store.get("", job.id, never)).toMatchObject({ id: job.id });
    alone.replica.faults.break();
    await expect(alone.replica.submit()).rejects.toMatchObject({ reason: "STORE_UNAVAILABLE" });
    alone.replica.faults.mend();
    const jobs = await alone.home.store.list("", { states: [], labels: {} }, 10, never);
    expect(jobs.map(({ id }) => id)).toEqual([job.id]);
  });

  it("has the phases of a job add up to its whole time", async () => {
    await using alone = await startAlone(new ScriptedEngine(succeed));
    const { result } = await alone.replica.end((await alone.replica.submit()).id);
    const { totalMs = Number.NaN, ...phases } = result?.timings ?? {};
    expect(Object.values(phases).reduce((sum, ms) => sum + ms, 0)).toBeCloseTo(totalMs, 6);
    expect(Math.min(...Object.values(phases))).toBeGreaterThanOrEqual(0);
  });

  it("tells the log of the end of a job, and of prompts only if it may", async () => {
    for (const logPrompts of [false, true]) {
      await using alone = await startAlone(new ScriptedEngine(), { logPrompts });
      const { id } = await alone.replica.submit({ prompt: "something private" });
      await alone.replica.end(id);
      expect(alone.replica.log.entries).toContainEqual(
        expect.objectContaining({ msg: "job ended", jobId: id, state: "succeeded", attempts: 1, seed: "7" }),
      );
      expect(alone.replica.log.text.includes("something private")).toBe(logPrompts);
    }
  });

  it("refuses jobs beyond the bound of its queue and says when to come again", async () => {
    const engine = new ScriptedEngine(runUntilStopped());
    await using alone = await startAlone(engine, { maxInFlight: 1, maxQueued: 1 });
    await alone.replica.reaches((await alone.replica.submit()).id, "running");
    await alone.replica.submit();
    await expect(alone.replica.submit()).rejects.toMatchObject({
      reason: "QUEUE_FULL",
      details: { retryAfterMs: expect.any(Number) },
    });
  });

  it("refuses jobs while no backend is up, and takes them again when one is", async () => {
    const engine = new ScriptedEngine();
    await using alone = await startAlone(engine);
    engine.setState("down");
    await expect(alone.replica.submit()).rejects.toMatchObject({
      reason: "NO_BACKEND",
      details: { retryAfterMs: expect.any(Number) },
    });
    engine.setState("up");
    expect(await alone.replica.end((await alone.replica.submit()).id)).toMatchObject({ state: "succeeded" });
  });

  it("refuses jobs while a store does not work, as soon as that is known", async () => {
    await using alone = await startAlone(new ScriptedEngine());
    const { storeWatch, faults, service } = alone.replica;
    using _ = storeWatch.onChange(() => undefined);
    const hold = faults.hold("submit"); // it must not even come to that
    faults.break();
    await waitUntil(() => storeWatch.problem !== "", "the outage is noticed");
    await expect(alone.replica.submit()).rejects.toMatchObject({ reason: "STORE_UNAVAILABLE" });
    expect(faults.calls).not.toContain("submit");
    hold.release();
    faults.mend();
    await waitUntil(() => storeWatch.problem === "", "the end of the outage is noticed");
    await service.submit(buildSpec(), plain, caller, never);
  });

  it("takes no more jobs once it is closed, and lets go on what it has taken", async () => {
    await using alone = await startAlone(new ScriptedEngine());
    const job = await alone.replica.submit();
    alone.replica.service.close();
    await expect(alone.replica.submit()).rejects.toMatchObject({ reason: "SHUTTING_DOWN" });
    expect(await alone.replica.end(job.id)).toMatchObject({ state: "succeeded" });
  });

  it("keeps jobs for as long as their caller asks, up to the longest time that is allowed", async () => {
    await using alone = await startAlone(new ScriptedEngine(), { maxRetentionMs: 5_000 });
    const { service } = alone.replica;
    const { id } = await service.submit(buildSpec(), { ...plain, retentionMs: 5_000 }, caller, never);
    const { endTime, expireTime } = await alone.replica.end(id);
    expect(Number(expireTime) - Number(endTime)).toBe(5_000);
    await expect(
      service.submit(buildSpec(), { ...plain, retentionMs: 5_001 }, caller, never),
    ).rejects.toMatchObject({
      reason: "INVALID_FIELD",
      details: { violations: [{ field: "options.retention" }] },
    });
  });

  it("knows no job of another tenant", async () => {
    await using alone = await startAlone(new ScriptedEngine());
    const { service } = alone.replica;
    const { id } = await alone.replica.submit();
    await alone.replica.end(id);
    const other = { ...caller, tenant: "other" };
    const notFound = { reason: "JOB_NOT_FOUND", details: { metadata: { job_id: id } } };
    await expect(service.get(id, other, never)).rejects.toMatchObject(notFound);
    await expect(service.cancel(id, other, never)).rejects.toMatchObject(notFound);
    await expect(service.delete(id, other, never)).rejects.toMatchObject(notFound);
    await expect(service.watch(id, 0n, other, never).next()).rejects.toMatchObject(notFound);
    expect(await alone.replica.get(id)).toMatchObject({ state: "succeeded" });
  });

  it("lists jobs by what they are, the newest first", async () => {
    await using alone = await startAlone(new ScriptedEngine());
    const { service } = alone.replica;
    const ids: string[] = [];
    for (const labels of [{ kind: "a" }, { kind: "b" }, { kind: "a" }]) {
      const job = await service.submit(buildSpec(), { ...plain, labels }, caller, never);
      ids.push(job.id);
      await alone.replica.end(job.id);
    }
    const filter = { states: ["succeeded"], labels: { kind: "a" } } as const;
    const found = await service.list(filter, 10, caller, never);
    expect(found.map(({ id }) => id)).toEqual([ids[2], ids[0]]);
  });

  describe("cancelling", () => {
    it("ends a queued job at once, which no backend ever gets", async () => {
      const engine = new ScriptedEngine(runUntilStopped());
      await using alone = await startAlone(engine, { maxInFlight: 1 });
      const { service } = alone.replica;
      const running = await alone.replica.submit();
      await alone.replica.reaches(running.id, "running");
      const waiting = await alone.replica.submit();
      expect(await service.cancel(waiting.id, caller, never)).toMatchObject({
        foundIn: "queued",
        job: { state: "cancelled", failure: { reason: "CANCELLED_BY_REQUEST" } },
      });
      await service.cancel(running.id, caller, never);
      expect(await alone.replica.end(running.id)).toMatchObject({ state: "cancelled" });
      expect(engine.requests).toHaveLength(1);
    });

    it("stops a running job, which has ended when its backend has proved it", async () => {
      const stopped = Promise.withResolvers<void>();
      const engine = new ScriptedEngine(async function* (_request, { cancel }) {
        yield { type: "started", cachedNodeIds: [] };
        await new Promise((resolve) => cancel.addEventListener("abort", resolve, { once: true }));
        await stopped.promise;
        throw cancel.reason;
      });
      await using alone = await startAlone(engine);
      const { service } = alone.replica;
      const { id } = await alone.replica.submit();
      await alone.replica.hears(id, "started");
      expect(await service.cancel(id, caller, never)).toMatchObject({
        foundIn: "running",
        job: { state: "cancelling" },
      });
      expect(await service.cancel(id, caller, never)).toMatchObject({
        foundIn: "cancelling",
        job: { state: "cancelling" },
      });
      stopped.resolve();
      expect(await alone.replica.end(id)).toMatchObject({
        state: "cancelled",
        failure: { reason: "CANCELLED_BY_REQUEST" },
      });
      expect((await alone.replica.story(id)).map(({ data }) => data.type)).toEqual([
        "accepted",
        "queued",
        "started",
        "cancelling",
        "failed",
      ]);
    });

    it("leaves a job that has ended as it is", async () => {
      await using alone = await startAlone(new ScriptedEngine());
      const { id } = await alone.replica.submit();
      const ended = await alone.replica.end(id);
      const { foundIn, job } = await alone.replica.service.cancel(id, caller, never);
      expect({ foundIn, job }).toEqual({ foundIn: "succeeded", job: ended });
      await expect(alone.replica.service.cancel(absent, caller, never)).rejects.toMatchObject({
        reason: "JOB_NOT_FOUND",
      });
    });
  });

  it("deletes jobs that have ended, and no others", async () => {
    const engine = new ScriptedEngine(runUntilStopped());
    await using alone = await startAlone(engine);
    const { service } = alone.replica;
    const { id } = await alone.replica.submit();
    await expect(service.delete(id, caller, never)).rejects.toMatchObject({ reason: "JOB_ACTIVE" });
    await service.cancel(id, caller, never);
    await alone.replica.end(id);
    await service.delete(id, caller, never);
    await expect(service.delete(id, caller, never)).rejects.toMatchObject({ reason: "JOB_NOT_FOUND" });
    await expect(service.get(id, caller, never)).rejects.toMatchObject({ reason: "JOB_NOT_FOUND" });
  });

  it("removes the images of a job with it, unless another job has them or they were uploaded too", async () => {
    await using alone = await startAlone(new ScriptedEngine());
    const { home, replica } = alone;
    const { images, id } = await replica.end((await replica.submit({ seed: 1n })).id);
    const assetId = images[0]?.sha256 ?? "";
    const asset = () => home.assets.get("", assetId, never);
    const other = await replica.submit({ seed: 1n, allowReuse: true });
    await replica.service.delete(id, caller, never);
    expect(await asset()).toBeDefined();
    await replica.service.delete(other.id, caller, never);
    expect(await asset()).toBeUndefined();

    const again = await replica.end((await replica.submit({ seed: 1n })).id);
    const made = await asset();
    const inADay = new Date(home.clock.now().getTime() + 24 * 3_600_000);
    if (made !== undefined) {
      await home.assets.put({ ...made, expireTime: inADay }, never);
    }
    await replica.service.delete(again.id, caller, never);
    expect(await asset()).toMatchObject({ expireTime: inADay });
  });

  it("queues jobs in the order in which they came, also those of one moment", async () => {
    await using alone = await startAlone(new ScriptedBackend().connect(), { maxInFlight: 1, maxQueued: 100 });
    const { replica } = alone;
    const jobs = await Promise.all(Array.from({ length: 50 }, () => replica.submit()));
    const times = jobs.map(({ createTime }) => createTime.getTime());
    expect(new Set(times).size).toBe(50);
    const places = await alone.home.store.placesOf(
      jobs.map(({ id }) => id),
      never,
    );
    const byPlace = [...places].sort(([, a], [, b]) => a - b).map(([id]) => id);
    const byTime = jobs
      .toSorted((a, b) => a.createTime.getTime() - b.createTime.getTime())
      .map(({ id }) => id);
    expect(byPlace).toEqual(byTime.filter((id) => places.has(id)));
  });

  describe("reusing", () => {
    it("answers with the images of an earlier job, which stay when that is deleted", async () => {
      const engine = new ScriptedEngine();
      await using alone = await startAlone(engine);
      const { home, replica } = alone;
      const drawn = await replica.end((await replica.submit({ seed: 1n })).id);
      const reused = await replica.submit({ seed: 1n, allowReuse: true });
      expect(reused).toMatchObject({ state: "succeeded", result: { reusedJobId: drawn.id } });
      expect(reused.images).toEqual(drawn.images);
      expect((await replica.story(reused.id)).map(({ data }) => data.type)).toEqual([
        "accepted",
        "image",
        "completed",
      ]);
      expect(engine.requests).toHaveLength(1);

      await replica.service.delete(drawn.id, caller, never);
      const again = await replica.submit({ seed: 1n, allowReuse: true });
      expect(again.result?.reusedJobId).toBe(drawn.id); // they were drawn by that one, whoever has them now
      home.clock.advance(2 * 3_600_000);
      await home.assets.sweep(home.clock.now(), 100, (sha256) => home.blobs.remove(sha256, never), never);
      expect(await home.blobNames()).toEqual(drawn.images.map(({ sha256 }) => sha256));
    });

    it("draws anew what was not drawn before, or not in that format, or failed, or expires in a moment", async () => {
      const engine = new ScriptedEngine(succeed, async function* () {
        yield { type: "started", cachedNodeIds: [] };
        throw new ServiceError("NODE_FAILED", "why");
      });
      await using alone = await startAlone(engine);
      const { replica } = alone;
      const options = { ...plain, retentionMs: 30_000 };
      const short = await replica.submit({ seed: 1n }, options);
      await replica.end(short.id);
      const failed = await replica.submit({ seed: 2n });
      expect(await replica.end(failed.id)).toMatchObject({ state: "failed" });
      for (const spec of [
        { seed: 1n },
        { seed: 2n },
        { seed: 3n },
        { seed: 3n, output: { metadata: "strip" as const } },
      ]) {
        const { result } = await replica.end((await replica.submit({ ...spec, allowReuse: true })).id);
        expect(result).toBeDefined();
        expect(result?.reusedJobId).toBeUndefined();
      }
      expect(engine.requests).toHaveLength(6);
    });

    it("draws anew when the earlier job is removed in the moment between being found and being reused", async () => {
      const engine = new ScriptedEngine();
      await using alone = await startAlone(engine);
      const { home, replica } = alone;
      const drawn = await replica.end((await replica.submit({ seed: 1n })).id);
      const hold = replica.faults.hold("submit");
      const submitted = replica.submit({ seed: 1n, allowReuse: true });
      await hold.reached;
      await home.store.remove("", drawn.id, never);
      const inTwoHours = new Date(home.clock.now().getTime() + 2 * 3_600_000);
      await home.assets.sweep(inTwoHours, 100, (sha256) => home.blobs.remove(sha256, never), never);
      hold.release();
      const { result } = await replica.end((await submitted).id);
      expect(result?.images).toHaveLength(1);
      expect(result?.reusedJobId).toBeUndefined();
      expect(engine.requests).toHaveLength(2);
    });

    it("needs no backend", async () => {
      const engine = new ScriptedEngine();
      await using alone = await startAlone(engine);
      const drawn = await alone.replica.end((await alone.replica.submit({ seed: 1n })).id);
      engine.setState("down");
      expect(await alone.replica.submit({ seed: 1n, allowReuse: true })).toMatchObject({
        result: { reusedJobId: drawn.id },
      });
      await expect(alone.replica.submit({ seed: 2n, allowReuse: true })).rejects.toMatchObject({
        reason: "NO_BACKEND",
      });
    });
  });
});
