import { createHash } from "node:crypto";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { buildJob, buildSubmission } from "../../test/contract/job-store/job-builders.ts";
import { buildGeneration } from "../../test/support/generations.ts";
import { onePixelPng, type RunScript, ScriptedEngine } from "../../test/support/scripted-engine.ts";
import { type JobsHome, never, openJobsHome } from "../../test/support/start-jobs.ts";
import type { ResolvedOutput } from "../domain/generation.ts";
import type { GenerationPlan } from "../domain/generation-plan.ts";
import type { WorkflowGraph } from "../domain/graph.ts";
import type { Output, OutputFile } from "../engine/engine.ts";
import { animation } from "../imaging/testing/pictures.ts";
import { pngChunk, withPngChunk } from "../imaging/testing/png-chunks.ts";
import type { JobsOptions } from "./start-jobs.ts";

const graph: WorkflowGraph = {
  "1": { class_type: "SaveImage", inputs: {} },
  "2": { class_type: "SaveAudio", inputs: {} },
  "3": { class_type: "ShowText", inputs: {} },
};

describe("a graph of which everything is kept", () => {
  it("gives back every kind of thing with its node, in the order in which it came", async () => {
    const files = {
      "a.png": onePixelPng,
      "b.webp": await animation("webp", 2),
      "c.gif": await animation("gif", 2),
      "d.flac": Buffer.from("fLaC\0\0\0\x22"),
      "e.mp4": Buffer.from("\0\0\0\x18ftypisom\0\0\x02\0isomiso2", "latin1"),
      "f.glb": Buffer.from("glTF\x02\0\0\0"),
      "g.latent": Buffer.from('\x10\0\0\0\0\0\0\0{"latent_tensor"'),
      "page.html": Buffer.from("<script>alert(1)</script>"),
      "notes.txt": Buffer.from("ünïcode"),
    };
    const listed = Object.keys(files).map((filename) => file("1", "files", { filename, subfolder: "x/y" }));
    await using stage = await openStage(files, [...listed, text("3", "hello"), text("3", "")]);
    const { job, replica } = stage;
    const record = await replica.end(job.id);
    expect(record.state).toBe("succeeded");
    expect(record.images).toMatchObject([
      { index: 0, nodeId: "1", format: "png", widthPx: 1, place: { key: "files", position: 0 } },
    ]);
    expect(record.images[0]).not.toHaveProperty("seed");
    expect(record.outputs.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
    expect(
      record.outputs.map(({ kind, mediaType, fileName, nodeId, classType }) =>
        [kind, mediaType, fileName, nodeId, classType].join(" "),
      ),
    ).toEqual([
      "animation image/webp b.webp 1 SaveImage",
      "animation image/gif c.gif 1 SaveImage",
      "audio audio/flac d.flac 1 SaveImage",
      "video video/mp4 e.mp4 1 SaveImage",
      "model3d model/gltf-binary f.glb 1 SaveImage",
      "latent application/octet-stream g.latent 1 SaveImage",
      "file application/octet-stream page.html 1 SaveImage",
      "text text/plain notes.txt 1 SaveImage",
      "text text/plain  3 ShowText",
    ]);
    expect(record.outputs.map(({ text }) => text)).toEqual([
      ...Array.from({ length: 7 }, () => undefined),
      "ünïcode",
      "hello",
    ]);
    expect(record.result).toMatchObject({ images: record.images, outputs: record.outputs });
    const flac = record.outputs[2];
    expect(await read(stage.home, flac?.sha256)).toEqual(files["d.flac"]);
    expect(await stage.home.assets.get("", flac?.sha256 ?? "", never)).toEqual(
      expect.objectContaining({
        mediaType: "audio/flac",
        fileName: "d.flac",
        origin: { jobId: job.id, nodeId: "1" },
      }),
    );
    const story = await replica.story(job.id);
    expect(story.map(({ data }) => data.type).slice(-11)).toEqual([
      "image",
      ...Array.from({ length: 9 }, () => "output"),
      "completed",
    ]);
  });

  it("has images encoded as asked, and leaves them in their format if that is PNG", async () => {
    const jpeg = await sharp({ create: { width: 6, height: 4, channels: 3, background: "red" } })
      .jpeg()
      .toBuffer();
    const files = { "a.png": onePixelPng, "b.jpg": jpeg };
    const listed = [file("1", "images", { filename: "a.png" }), file("1", "images", { filename: "b.jpg" })];
    await using kept = await openStage(files, listed);
    const asTheyAre = await kept.replica.end(kept.job.id);
    expect(asTheyAre.images).toMatchObject([
      { format: "png", widthPx: 1, heightPx: 1 },
      { format: "jpeg", widthPx: 6, heightPx: 4 },
    ]);
    expect(await read(kept.home, asTheyAre.images[1]?.sha256)).toEqual(jpeg);

    await using encoded = await openStage(files, listed, { output: { ...png, format: "webp" } });
    const { images } = await encoded.replica.end(encoded.job.id);
    expect(images.map(({ format, widthPx }) => [format, widthPx])).toEqual([
      ["webp", 1],
      ["webp", 6],
    ]);
  });

  it("tells an animated PNG from a still one, wherever that stands", async () => {
    const long = pngChunk("tEXt", Buffer.alloc(100_000, "x"));
    const moving = withPngChunk(withPngChunk(onePixelPng, pngChunk("acTL", Buffer.alloc(8))), long);
    const still = withPngChunk(onePixelPng, long);
    const files = { "a.png": moving, "b.png": still };
    await using stage = await openStage(files, [
      file("1", "images", { filename: "a.png" }),
      file("1", "images", { filename: "b.png" }),
    ]);
    const { images, outputs } = await stage.replica.end(stage.job.id);
    expect(outputs).toMatchObject([{ kind: "animation", mediaType: "image/apng" }]);
    expect(images).toMatchObject([{ index: 0, sha256: sha256(still) }]);
  });

  it("has images marked that are left in their format, as made from others if there were any", async () => {
    const jpeg = await sharp({ create: { width: 6, height: 4, channels: 3, background: "red" } })
      .jpeg()
      .toBuffer();
    const files = { "a.png": onePixelPng, "b.jpg": jpeg };
    const listed = [file("1", "images", { filename: "a.png" }), file("1", "images", { filename: "b.jpg" })];
    await using stage = await openStage(files, listed, { output: { ...png, aiMark: true } });
    const { images } = await stage.replica.end(stage.job.id);
    for (const [i, original] of [onePixelPng, jpeg].entries()) {
      const marked = await read(stage.home, images[i]?.sha256);
      expect((await sharp(marked).metadata()).xmp?.toString()).toContain("/trainedAlgorithmicMedia<");
      expect(await sharp(marked).raw().toBuffer()).toEqual(await sharp(original).raw().toBuffer());
    }
  });

  it("leaves out what was only read, and previews unless nothing was saved", async () => {
    const files = { "in.png": onePixelPng, "shown.png": onePixelPng, "saved.txt": Buffer.from("saved") };
    const read = file("1", "images", { filename: "in.png", type: "input" });
    const shown = file("1", "images", { filename: "shown.png", type: "temp" });
    const saved = file("2", "files", { filename: "saved.txt" });
    await using withSaved = await openStage(files, [read, shown, saved]);
    const both = await withSaved.replica.end(withSaved.job.id);
    expect(both.images).toEqual([]);
    expect(both.outputs).toMatchObject([{ text: "saved" }]);

    await using onlyShown = await openStage(files, [read, shown, text("3", "hello")]);
    const previews = await onlyShown.replica.end(onlyShown.job.id);
    expect(previews.images).toMatchObject([{ nodeId: "1", sha256: sha256(onePixelPng) }]);
    expect(previews.outputs).toMatchObject([{ text: "hello" }]);
  });

  it("fails if it leaves nothing at all", async () => {
    await using stage = await openStage({}, [file("1", "images", { filename: "x", type: "input" })], {
      options: { maxAttempts: 1 },
    });
    expect(await stage.replica.end(stage.job.id)).toMatchObject({
      state: "failed",
      failure: { reason: "NO_OUTPUT" },
    });
  });

  it("fails, and is not run again, if it leaves a file that is too large", async () => {
    await using stage = await openStage(
      { "a.bin": Buffer.alloc(2_000) },
      [file("1", "files", { filename: "a.bin" })],
      { options: { maxOutputBytes: 1_999 } },
    );
    expect(await stage.replica.end(stage.job.id)).toMatchObject({
      state: "failed",
      failure: {
        reason: "OUTPUT_TOO_LARGE",
        details: { metadata: { node_id: "1", limit_bytes: "1999" } },
      },
    });
    expect(stage.engine.requests).toHaveLength(1);
    expect(await stage.home.blobNames()).toEqual([]);
  });

  it("gives each file once, as soon as it is there, and names none of its folders", async () => {
    const seen = Promise.withResolvers<void>();
    const first = file("1", "files", { filename: "../../a\u202etxt.exe", subfolder: "s" });
    const second = file("2", "audio", { filename: "C:\\x\\b.flac" });
    const script: RunScript = async function* () {
      yield { type: "started", cachedNodeIds: [] };
      yield { type: "output", output: first };
      await seen.promise;
      yield { type: "output", output: second };
      yield { type: "finished", outputs: [second, first, { ...first, key: "again" }] };
    };
    await using stage = await openStage({}, [], { script });
    stage.engine.contentOf = ({ filename }) => Buffer.from(filename);
    await stage.replica.hears(stage.job.id, "output");
    seen.resolve();
    const { outputs } = await stage.replica.end(stage.job.id);
    expect(outputs).toMatchObject([
      { index: 0, fileName: "atxt.exe", place: { key: "files", position: 0 } },
      { index: 1, fileName: "b.flac", place: { key: "audio", position: 0 } },
    ]);
    expect(outputs).toHaveLength(2);
  });

  it("is not fetched again by who takes over, though files are called otherwise by then", async () => {
    const opened: string[] = [];
    const run = (suffix: string, end: "stay" | "finish"): RunScript =>
      async function* (_request, { cancel, leave }) {
        const outputs = [
          file("1", "images", { filename: `a${suffix}.png` }),
          file("2", "audio", { filename: `b${suffix}.flac` }),
          file("2", "audio", { filename: `c${suffix}.flac` }),
        ];
        yield { type: "started", cachedNodeIds: [] };
        for (const output of end === "stay" ? outputs.slice(0, 2) : []) {
          yield { type: "output", output };
        }
        if (end === "stay") {
          const either = AbortSignal.any([cancel, leave]);
          await new Promise((resolve) => either.addEventListener("abort", resolve, { once: true }));
          throw new Error("left");
        }
        yield { type: "finished", outputs };
      };
    const engine = (script: RunScript) => {
      const made = new ScriptedEngine(script);
      made.contentOf = ({ filename }) => {
        opened.push(filename);
        return filename.endsWith("png") ? onePixelPng : Buffer.from(`fLaC${filename}`);
      };
      return made;
    };
    await using home = await openJobsHome();
    const job = await submitPlan(home, {});
    {
      await using replica = home.start(engine(run("1", "stay")));
      await replica.hears(job.id, "output");
    }
    await using replica = home.start(engine(run("2", "finish")));
    const { state, images, outputs } = await replica.end(job.id);
    expect(state).toBe("succeeded");
    expect(opened).toEqual(["a1.png", "b1.flac", "c2.flac"]);
    expect(images).toMatchObject([{ index: 0 }]);
    expect(outputs).toMatchObject([
      { index: 0, fileName: "b1.flac" },
      { index: 1, fileName: "c2.flac", place: { key: "audio", position: 1 } },
    ]);
  });

  it("may have planned images too, which come first", async () => {
    const outputs = [
      file("2", "images", { filename: "x.png" }),
      file("1", "images", { filename: "planned.png" }),
      file("1", "images", { filename: "more.png" }),
    ];
    await using stage = await openStage({}, outputs, {
      plan: { images: [{ saveNodeId: "1", samplerNodeIds: [], seed: 5n }] },
    });
    const { result } = await stage.replica.end(stage.job.id);
    const images = result?.images ?? [];
    expect(images).toMatchObject([
      { index: 0, nodeId: "1", seed: 5n },
      { index: 1, nodeId: "2", place: { position: 0 } },
      { index: 2, nodeId: "1", place: { position: 1 } },
    ]);
    expect(images[0]).not.toHaveProperty("place");
  });
});

interface StageOptions {
  readonly output?: ResolvedOutput;
  readonly plan?: Partial<GenerationPlan>;
  readonly options?: Partial<JobsOptions>;
  readonly script?: RunScript;
}

const png: ResolvedOutput = { format: "png", inlineLimitBytes: 0, metadata: "keep", aiMark: false };

/** A job whose graph leaves `outputs`, of these contents by file name, at work. */
async function openStage(
  files: Readonly<Record<string, Uint8Array>>,
  outputs: readonly Output[],
  { options = {}, script, ...asked }: StageOptions = {},
) {
  await using made = new AsyncDisposableStack();
  const home = made.use(await openJobsHome());
  const engine = new ScriptedEngine();
  engine.otherwise = script ?? finishWith(outputs);
  engine.contentOf = ({ filename }) => files[filename] ?? onePixelPng;
  const job = await submitPlan(home, asked);
  const replica = made.use(home.start(engine, options));
  const owned = made.move();
  return { home, engine, job, replica, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

function finishWith(outputs: readonly Output[]): RunScript {
  return async function* () {
    yield { type: "started", cachedNodeIds: [] };
    yield { type: "finished", outputs };
  };
}

async function submitPlan(home: JobsHome, { output = png, plan = {} }: StageOptions) {
  const job = buildJob({
    generation: buildGeneration({ output }),
    plan: { graph, inputs: [], images: [], keeps: "everything", ...plan },
    createTime: home.clock.now(),
    queueDeadline: new Date(home.clock.now().getTime() + 3_600_000),
  });
  await home.store.submit(buildSubmission([job]), never);
  return job;
}

function file(nodeId: string, key: string, where: Partial<OutputFile>): Output {
  return { kind: "file", nodeId, key, file: { filename: "", subfolder: "", type: "output", ...where } };
}

function text(nodeId: string, value: string): Output {
  return { kind: "text", nodeId, key: "text", text: value };
}

function sha256(data: Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}

async function read(home: JobsHome, id = ""): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(home.blobs.read(id, { offset: 0, chunkBytes: 65_536 }, never)));
}
