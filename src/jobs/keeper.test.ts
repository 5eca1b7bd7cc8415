import { describe, expect, it } from "vitest";
import { buildSpec } from "../../test/support/generations.ts";
import { ScriptedBackend } from "../../test/support/scripted-backend.ts";
import { onePixelPng, ScriptedEngine } from "../../test/support/scripted-engine.ts";
import {
  caller,
  type JobsHome,
  never,
  openJobsHome,
  plain,
  type Replica,
} from "../../test/support/start-jobs.ts";
import { waitUntil } from "../../test/support/wait-until.ts";

const hour = 3_600_000;

/** An engine whose every image has bytes of its own. */
function drawing(): ScriptedEngine {
  const engine = new ScriptedEngine();
  engine.contentOf = ({ filename }) => Buffer.concat([onePixelPng, Buffer.from(filename)]);
  return engine;
}

/** Jobs that have ended, kept for `retentionMs`. */
async function draw(replica: Replica, count: number, retentionMs: number, imageCount = 2) {
  const specs = Array.from({ length: count }, () => buildSpec({ imageCount }));
  const { id, jobs } = await replica.service.submitBatch(specs, { ...plain, retentionMs }, caller, never);
  return { batchId: id, jobs: await Promise.all(jobs.map((job) => replica.end(job.id))) };
}

async function emptyOf(home: JobsHome): Promise<boolean> {
  return (
    (await home.store.list("", { states: [], labels: {} }, 1, never)).length === 0 &&
    (await home.blobNames()).length === 0
  );
}

const cleaning = { cleanIntervalMs: 20 };

describe("Keeper", () => {
  it("removes jobs whose time has come, with their batches and images", async () => {
    await using home = await openJobsHome();
    await using replica = home.start(drawing(), cleaning);
    const { batchId, jobs } = await draw(replica, 3, 1_000);
    expect(await home.blobNames()).toHaveLength(6);
    home.clock.advance(3 * hour); // images stay for a while after they have lost their job
    await waitUntil(() => emptyOf(home), "nothing is left");
    const [job] = jobs;
    await expect(replica.get(job?.id ?? "")).rejects.toMatchObject({ reason: "JOB_NOT_FOUND" });
    expect(await home.store.readEvents(job?.id ?? "", 0n, never)).toBeUndefined();
    expect(await home.assets.get("", job?.images[0]?.sha256 ?? "", never)).toBeUndefined();
    await expect(replica.service.getBatch(batchId, caller, never)).rejects.toMatchObject({
      reason: "BATCH_NOT_FOUND",
    });
  });

  it("removes more jobs than fit into one go", async () => {
    await using home = await openJobsHome();
    const engine = new ScriptedEngine();
    await using replica = home.start(engine, { ...cleaning, maxQueued: 1_000, batchLimit: 1_000 });
    const specs = Array(250).fill(buildSpec({ seed: 1n, allowReuse: true }));
    await replica.end((await replica.submit({ seed: 1n })).id);
    await replica.service.submitBatch(specs, plain, caller, never);
    expect(engine.requests).toHaveLength(1);
    home.clock.advance(3 * hour);
    await waitUntil(() => emptyOf(home), "nothing is left");
  });

  it("removes at once the images of all jobs that go, in whatever order these go", async () => {
    await using home = await openJobsHome();
    const options = { cleanIntervalMs: 24 * hour, maxQueued: 1_000, batchLimit: 1_000 };
    const first = home.start(drawing(), options);
    await draw(first, 50, 30 * hour, 1);
    home.clock.advance(60_000);
    await draw(first, 100, hour, 1); // jobs that go earlier, and images that go later
    await first[Symbol.asyncDispose]();
    home.clock.advance(100 * hour);
    await using _second = home.start(drawing(), options);
    await waitUntil(() => emptyOf(home), "nothing is left");
  });

  it("leaves alone what a job still refers to, however old it is", async () => {
    await using home = await openJobsHome();
    const engine = drawing();
    await using replica = home.start(engine, cleaning);
    const drawn = await replica.end((await replica.submit({ seed: 1n }, { ...plain, retentionMs: hour })).id);
    const reused = await replica.submit({ seed: 1n, allowReuse: true }, { ...plain, retentionMs: 48 * hour });
    expect(reused.images).toEqual(drawn.images);
    const { jobs } = await draw(replica, 1, 48 * hour);
    const other = await draw(replica, 1, hour);
    home.clock.advance(24 * hour);
    await waitUntil(async () => (await home.blobNames()).length === 3, "what nobody needs is gone");
    await expect(replica.get(drawn.id)).rejects.toMatchObject({ reason: "JOB_NOT_FOUND" });
    await expect(replica.get(other.jobs[0]?.id ?? "")).rejects.toMatchObject({ reason: "JOB_NOT_FOUND" });
    const kept = [...reused.images, ...(jobs[0]?.images ?? [])].map(({ sha256 }) => sha256);
    expect((await home.blobNames()).sort()).toEqual(kept.sort());
    for (const sha256 of kept) {
      expect(await home.assets.get("", sha256, never)).toBeDefined();
    }
  });

  it("leaves alone the images of a job that runs", async () => {
    await using home = await openJobsHome();
    const engine = drawing();
    const goOn = Promise.withResolvers<void>();
    engine.otherwise = async function* () {
      yield { type: "started", cachedNodeIds: [] };
      yield { type: "output", output: outputOf("9") };
      await goOn.promise;
      yield { type: "finished", outputs: [outputOf("9"), outputOf("109")] };
    };
    await using replica = home.start(engine, { ...cleaning, maxRunMs: 1_000 * hour });
    const { id } = await replica.submit({ imageCount: 2 });
    await replica.hears(id, "image");
    home.clock.advance(100 * hour);
    const cleaned = () => replica.faults.calls.filter((name) => name === "sweep").length;
    const before = cleaned();
    await waitUntil(() => cleaned() > before + 1, "it has cleaned");
    goOn.resolve();
    const { images } = await replica.end(id);
    expect((await home.blobNames()).sort()).toEqual(images.map(({ sha256 }) => sha256).sort());
  });

  it("goes on when the store works again", async () => {
    await using home = await openJobsHome();
    await using replica = home.start(drawing(), cleaning);
    await draw(replica, 1, 1_000);
    replica.faults.break("removeExpired");
    home.clock.advance(3 * hour);
    await waitUntil(() => replica.log.text.includes("removing what has expired failed"), "it has failed");
    replica.faults.mend();
    await waitUntil(() => emptyOf(home), "nothing is left");
  });

  it("ends jobs that nobody ran in time, for those who watch them too", async () => {
    await using home = await openJobsHome();
    const backend = new ScriptedBackend();
    await using busy = home.start(backend.connect(), { maxInFlight: 1, maxQueueMs: 10 * hour });
    await using other = home.start([]);
    const running = await busy.submit();
    await busy.hears(running.id, "started");
    const waiting = await busy.submit();
    const watched = other.story(waiting.id);
    home.clock.advance(11 * hour);
    expect((await watched).at(-1)?.data).toMatchObject({
      type: "failed",
      state: "expired",
      failure: { reason: "JOB_TIMEOUT" },
    });
    expect(backend.prompts).toHaveLength(1);
  });

  it("puts jobs back into the queue whose backend nobody drives any more", async () => {
    await using home = await openJobsHome();
    const [lost, spare] = [new ScriptedBackend("lost"), new ScriptedBackend("spare")];
    const first = home.start(lost.connect());
    const { id } = await first.submit();
    await first.hears(id, "started");
    await first[Symbol.asyncDispose]();

    const engine = lost.connect();
    engine.setState("down");
    // It knows both backends, but nobody drives the lost one: its lease is never taken.
    await using second = home.start(spare.connect(), { undrivenMs: 100, maxQueueMs: 100 * hour });
    home.clock.advance(10_000);
    await spare.given(1);
    spare.finish();
    expect((await second.end(id)).result).toMatchObject({
      attemptCount: 2,
      backend: { name: "spare" },
    });
  });

  it("ends those that were being cancelled there, and those that were lost too often", async () => {
    await using home = await openJobsHome();
    const lost = new ScriptedBackend("lost");
    const first = home.start(lost.connect());
    const jobs = [await first.submit(), await first.submit()];
    await Promise.all(jobs.map(({ id }) => first.hears(id, "started")));
    const [cancelled, tried] = jobs.map(({ id }) => id);
    first.faults.break("adopt");
    await first.service.cancel(cancelled ?? "", caller, never);
    await first[Symbol.asyncDispose]();

    await using second = home.start(new ScriptedBackend("spare").connect(), {
      undrivenMs: 100,
      maxAttempts: 1,
    });
    home.clock.advance(10_000);
    expect(await second.end(cancelled ?? "")).toMatchObject({
      state: "cancelled",
      failure: { reason: "CANCELLED_BY_REQUEST" },
    });
    expect(await second.end(tried ?? "")).toMatchObject({
      state: "failed",
      failure: { reason: "BACKEND_LOST" },
    });
  });
});

function outputOf(nodeId: string) {
  const file = { filename: `${nodeId}.png`, subfolder: "", type: "output" } as const;
  return { kind: "file", nodeId, key: "images", file } as const;
}
