import { describe, expect, it } from "vitest";
import { buildInputImage, buildSpec } from "../../test/support/generations.ts";
import { ScriptedBackend } from "../../test/support/scripted-backend.ts";
import { runUntilStopped, ScriptedEngine } from "../../test/support/scripted-engine.ts";
import { caller, never, openJobsHome, plain, repeatable, startAlone } from "../../test/support/start-jobs.ts";
import type { ImageSource } from "../domain/input-image.ts";
import { isLastEvent, isLasting } from "../domain/job-event.ts";

const hourMs = 3_600_000;
const prompts = ["one", "two", "three"];
const specs = prompts.map((prompt) => buildSpec({ prompt }));
const absent = "00000000-0000-4000-8000-000000000000";

describe("a batch", () => {
  it("is a job of each spec, in order", async () => {
    await using alone = await startAlone(new ScriptedEngine());
    const { service } = alone.replica;
    const batch = await service.submitBatch(specs, { ...plain, labels: { of: "all" } }, caller, never);
    expect(batch.jobs).toMatchObject(
      prompts.map((prompt, index) => ({
        generation: { task: { prompt } },
        labels: { of: "all" },
        batch: { id: batch.id, index },
      })),
    );
    expect(await service.getBatch(batch.id, caller, never)).toMatchObject({
      id: batch.id,
      jobs: batch.jobs.map(({ id }) => ({ id })),
    });
    await expect(service.getBatch(absent, caller, never)).rejects.toMatchObject({
      reason: "BATCH_NOT_FOUND",
    });
  });

  it("looks at each image once, however many of its specs have it", async () => {
    const url = { type: "url", url: "https://images.example/a.png" } as const;
    const data = Buffer.from("a picture");
    const over = (image: ImageSource) => buildSpec({ start: { type: "imageToImage", image }, denoise: 0.5 });
    const grid = [url, { ...url }, { type: "data", data }, { type: "data", data }] as const;
    const looks: ImageSource[] = [];
    const image = buildInputImage();
    const inputImages = {
      async resolve(source: ImageSource) {
        looks.push(source);
        return image;
      },
    };
    await using alone = await startAlone(new ScriptedEngine(), {}, inputImages);
    const createTime = alone.home.clock.now();
    await alone.home.assets.pinBlob(image.assetId, never);
    await alone.home.assets.put(
      {
        ...{ id: image.assetId, tenant: caller.tenant, fileName: "", sizeBytes: 1, mediaType: "image/png" },
        ...{ widthPx: 640, heightPx: 480, createTime, expireTime: new Date(createTime.getTime() + hourMs) },
      },
      never,
    );
    const { service } = alone.replica;
    const call = { isBatch: true } as const;
    expect(await service.validate(grid.map(over), plain, caller, call, never)).toHaveLength(4);
    expect(looks.map(({ type }) => type)).toEqual(["url", "data"]);
    const { jobs } = await service.submitBatch(grid.map(over), plain, caller, never);
    expect(jobs).toHaveLength(4);
    expect(looks.map(({ type }) => type)).toEqual(["url", "data", "url", "data"]);
  });

  it("is refused as a whole if one spec is wrong, whose fields are named", async () => {
    await using alone = await startAlone(new ScriptedEngine());
    const { service } = alone.replica;
    const [first, second] = specs;
    const wrong = buildSpec({ steps: 9_999 });
    const refused = service.submitBatch(
      [first, wrong, second].map((one) => one ?? wrong),
      plain,
      caller,
      never,
    );
    await expect(refused).rejects.toMatchObject({
      reason: "INVALID_FIELD",
      message: expect.stringContaining("specs[1].steps"),
      details: { violations: [{ field: "specs[1].steps" }] },
    });
    const unknown = service.submitBatch(
      [buildSpec(), buildSpec(), buildSpec({ sampler: "eular" })],
      plain,
      caller,
      never,
    );
    await expect(unknown).rejects.toMatchObject({
      reason: "SAMPLER_NOT_FOUND",
      details: { violations: [{ field: "specs[2].sampler" }] },
    });
    expect(await service.list({ states: [], labels: {} }, 10, caller, never)).toEqual([]);
  });

  it("is refused as a whole if there is no room for all of it", async () => {
    await using alone = await startAlone(new ScriptedEngine(), { maxQueued: 2 });
    const { service } = alone.replica;
    await expect(service.submitBatch(specs, plain, caller, never)).rejects.toMatchObject({
      reason: "QUEUE_FULL",
    });
    await service.submitBatch(specs.slice(1), plain, caller, never);
  });

  it("is the same when its request is repeated", async () => {
    await using alone = await startAlone(new ScriptedEngine());
    const { service } = alone.replica;
    const [one, again] = await Promise.all(
      [1, 2].map(() => service.submitBatch(specs, repeatable("b"), caller, never)),
    );
    expect(again?.id).toBe(one?.id);
    expect(again?.jobs.map(({ id }) => id)).toEqual(one?.jobs.map(({ id }) => id));
    expect(one?.requestId).toBe("b");
  });

  it("can be watched on any replica until its last job has ended", async () => {
    const backend = new ScriptedBackend();
    await using home = await openJobsHome();
    await using first = home.start(backend.connect(), { maxInFlight: 1 });
    await using second = home.start([]);
    const { id, jobs } = await first.service.submitBatch(specs, plain, caller, never);
    const seen = new Map(jobs.map((job) => [job.id, [] as bigint[]]));
    let ends = 0;
    for await (const { job, event } of second.service.watchBatch(id, new Map(), caller, never)) {
      if (isLasting(event)) {
        seen.get(job.id)?.push(event.sequence);
      }
      if (event.data.type === "started") {
        backend.finish();
      }
      ends += isLastEvent(event) ? 1 : 0;
    }
    expect(ends).toBe(3);
    for (const job of jobs) {
      const written = (await home.store.readEvents(job.id, 0n, never)) ?? [];
      expect(seen.get(job.id)).toEqual(written.map(({ sequence }) => sequence));
    }
  });

  it("can be watched from a place in each job", async () => {
    await using alone = await startAlone(new ScriptedEngine());
    const { service } = alone.replica;
    const { id, jobs } = await service.submitBatch(specs, plain, caller, never);
    await Promise.all(jobs.map((job) => alone.replica.end(job.id)));
    const [first, second] = jobs;
    const after = new Map([
      [first?.id ?? "", 5n],
      [second?.id ?? "", 3n],
    ]);
    const counts = new Map<string, number>();
    for await (const { job } of service.watchBatch(id, after, caller, never)) {
      counts.set(job.id, (counts.get(job.id) ?? 0) + 1);
    }
    expect(jobs.map((job) => counts.get(job.id) ?? 0)).toEqual([0, 2, 5]);
    const beyond = service.watchBatch(id, new Map([[first?.id ?? "", 6n]]), caller, never);
    await expect(beyond.next()).rejects.toMatchObject({ reason: "OFFSET_OUT_OF_RANGE" });
  });

  it("ends the watch for the reason of its signal", async () => {
    await using alone = await startAlone(new ScriptedEngine(runUntilStopped()), { maxInFlight: 1 });
    const { service } = alone.replica;
    const { id } = await service.submitBatch(specs, plain, caller, never);
    const leaving = new AbortController();
    const watch = async () => {
      for await (const { event } of service.watchBatch(id, new Map(), caller, leaving.signal)) {
        if (event.data.type === "started") {
          leaving.abort(new Error("seen enough"));
        }
      }
    };
    await expect(watch()).rejects.toThrow("seen enough");
  });

  it("is cancelled with all its jobs, of which none begins because of that", async () => {
    const engine = new ScriptedEngine(runUntilStopped());
    await using alone = await startAlone(engine, { maxInFlight: 1 });
    const { service } = alone.replica;
    const { id, jobs } = await service.submitBatch(specs, plain, caller, never);
    await alone.replica.hears(jobs[0]?.id ?? "", "started");
    const { batch, foundIn } = await service.cancelBatch(id, caller, never);
    expect(foundIn).toEqual(["running", "queued", "queued"]);
    expect(batch.jobs.map(({ state }) => state)).toEqual(["cancelling", "cancelled", "cancelled"]);
    expect(await alone.replica.end(jobs[0]?.id ?? "")).toMatchObject({ state: "cancelled" });
    expect(engine.requests).toHaveLength(1);
    expect((await service.cancelBatch(id, caller, never)).foundIn).toEqual([
      "cancelled",
      "cancelled",
      "cancelled",
    ]);
  });
});
