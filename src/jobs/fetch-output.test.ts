import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { readPng } from "../../test/support/png.ts";
import { onePixelPng, ScriptedEngine } from "../../test/support/scripted-engine.ts";
import { caller, type JobsHome, never, startAlone } from "../../test/support/start-jobs.ts";
import { waitUntil } from "../../test/support/wait-until.ts";
import type { ImageInfo } from "../domain/image.ts";
import { pngChunk, withPngChunk } from "../imaging/testing/png-chunks.ts";

async function read(home: JobsHome, image: Pick<ImageInfo, "sha256"> | undefined): Promise<Buffer> {
  const body = home.blobs.read(image?.sha256 ?? "", { offset: 0, chunkBytes: 65_536 }, never);
  return Buffer.concat(await Array.fromAsync(body));
}

describe("the images of a job", () => {
  it("are those that the backend drew, byte by byte, and known as assets of the job", async () => {
    await using alone = await startAlone(new ScriptedEngine());
    const { home, replica } = alone;
    const { id, result } = await replica.end((await replica.submit({ imageCount: 2 })).id);
    const images = result?.images ?? [];
    expect(images).toMatchObject([
      { index: 0, seed: 7n, nodeId: "9", format: "png", widthPx: 1, heightPx: 1 },
      { index: 1, seed: 8n, nodeId: "109", format: "png", widthPx: 1, heightPx: 1 },
    ]);
    for (const image of images) {
      expect(await read(home, image)).toEqual(onePixelPng);
      expect(image.sizeBytes).toBe(onePixelPng.length);
    }
    expect(await home.assets.get("", images[0]?.sha256 ?? "", never)).toMatchObject({
      mediaType: "image/png",
      sizeBytes: onePixelPng.length,
      origin: { jobId: id },
    });
  });

  it.each(["jpeg", "webp"] as const)("are encoded as %s if asked", async (format) => {
    await using alone = await startAlone(new ScriptedEngine());
    const { home, replica } = alone;
    const job = await replica.submit({ output: { format } });
    const { images } = await replica.end(job.id);
    expect(images).toMatchObject([{ format, widthPx: 1, heightPx: 1 }]);
    expect(await sharp(await read(home, images[0])).metadata()).toMatchObject({ format, width: 1 });
  });

  it("lose what ComfyUI wrote into them if asked", async () => {
    const engine = new ScriptedEngine();
    const withText = await sharp(onePixelPng)
      .withExif({ IFD0: { ImageDescription: "secret" } })
      .png()
      .toBuffer();
    engine.contentOf = () => withText;
    await using alone = await startAlone(engine);
    const { home, replica } = alone;
    const plain = await replica.end((await replica.submit()).id);
    expect(await read(home, plain.images[0])).toEqual(withText);
    const stripped = await replica.end((await replica.submit({ output: { metadata: "strip" } })).id);
    const bytes = await read(home, stripped.images[0]);
    expect(readPng(bytes)).toMatchObject({ widthPx: 1, heightPx: 1 });
    expect(bytes.includes("secret")).toBe(false);
  });

  it("say that they were made by AI, in whatever format, and change by nothing else", async () => {
    await using alone = await startAlone(new ScriptedEngine(), { aiMark: "on" });
    const { home, replica } = alone;
    for (const format of ["png", "jpeg", "webp", "avif"] as const) {
      const { images } = await replica.end((await replica.submit({ output: { format } })).id);
      const marked = await read(home, images[0]);
      expect((await sharp(marked).metadata()).xmp?.toString()).toContain("/trainedAlgorithmicMedia<");
      expect(images[0]?.sizeBytes).toBe(marked.length);
      const plain = await replica.end((await replica.submit({ output: { format, aiMark: false } })).id);
      const unmarked = await read(home, plain.images[0]);
      expect((await sharp(unmarked).metadata()).xmp).toBeUndefined();
      expect(await sharp(marked).raw().toBuffer()).toEqual(await sharp(unmarked).raw().toBuffer());
    }
  });

  it.each(["png", "webp"] as const)(
    "say in a %s how they were made, if asked, and no more",
    async (format) => {
      const engine = new ScriptedEngine();
      const withText = withPngChunk(onePixelPng, pngChunk("tEXt", Buffer.from("prompt\0secret")));
      engine.contentOf = () => withText;
      await using alone = await startAlone(engine);
      const { home, replica } = alone;
      const job = await replica.submit({ output: { format, metadata: "replace" } });
      const { images } = await replica.end(job.id);
      const { comments, exif, xmp } = await sharp(await read(home, images[0])).metadata();
      const text =
        "a red fox\nSteps: 20, Sampler: euler, Schedule type: normal, CFG scale: 7, Seed: 7, Size: 1x1";
      expect((await read(home, images[0])).includes("secret")).toBe(false);
      expect(xmp).toBeUndefined();
      if (format === "png") {
        expect(comments).toEqual([{ keyword: "parameters", text: expect.stringContaining(text) }]);
      } else {
        expect(exif?.includes(Buffer.from(text, "utf16le").swap16())).toBe(true);
      }
    },
  );

  it("have a small version beside them if asked, which lasts as long", async () => {
    const engine = new ScriptedEngine();
    const large = await sharp({ create: { width: 90, height: 60, channels: 3, background: "red" } })
      .png()
      .toBuffer();
    engine.contentOf = () => large;
    await using alone = await startAlone(engine, { aiMark: "on" });
    const { home, replica } = alone;
    const job = await replica.submit({ output: { thumbnail: { maxSidePx: 30 } } });
    const { result } = await replica.end(job.id);
    const { thumbnail } = result?.images[0] ?? {};
    expect(thumbnail).toMatchObject({ format: "webp", widthPx: 30, heightPx: 20 });
    const bytes = await read(home, thumbnail);
    expect(bytes).toHaveLength(thumbnail?.sizeBytes ?? -1);
    expect(await sharp(bytes).metadata()).toMatchObject({ format: "webp", width: 30, height: 20 });
    expect((await sharp(bytes).metadata()).xmp?.toString()).toContain("/trainedAlgorithmicMedia<");
    expect(await home.assets.get("", thumbnail?.sha256 ?? "", never)).toMatchObject({ widthPx: 30 });
    expect(await replica.service.delete(job.id, caller, never)).toBeUndefined();
    expect(await home.assets.get("", thumbnail?.sha256 ?? "", never)).toBeUndefined();
  });

  it("are stored in the end though the stores were out of order, and the prompt is run once", async () => {
    const engine = new ScriptedEngine();
    await using alone = await startAlone(engine);
    const { home, replica } = alone;
    replica.faults.break("stage", "put");
    const { id } = await replica.submit();
    await waitUntil(() => replica.log.text.includes("cannot store an output"), "it has failed once");
    replica.faults.break("put");
    await waitUntil(() => replica.faults.calls.includes("put"), "the bytes have been taken in");
    replica.faults.mend();
    const { state, images } = await replica.end(id);
    expect(state).toBe("succeeded");
    expect(await read(home, images[0])).toEqual(onePixelPng);
    expect(engine.requests).toHaveLength(1);
    expect(await home.blobNames()).toEqual([images[0]?.sha256]);
  });

  it("are there once though the store did not say so", async () => {
    const engine = new ScriptedEngine();
    await using alone = await startAlone(engine);
    const { home, replica } = alone;
    replica.faults.loseAnswer("put");
    const { images } = await replica.end((await replica.submit()).id);
    expect(images).toHaveLength(1);
    expect(await home.blobNames()).toEqual([images[0]?.sha256]);
  });

  it("are waited for, however long that takes: what counts as run time is over", async () => {
    const engine = new ScriptedEngine();
    await using alone = await startAlone(engine, { maxRunMs: 300 });
    const { replica } = alone;
    replica.faults.break("stage");
    const { id } = await replica.submit();
    const tries = () => replica.faults.calls.filter((method) => method === "stage").length;
    await waitUntil(() => tries() === 3, "it has been tried for longer than jobs may run");
    expect(await replica.get(id)).toMatchObject({ state: "running" });
    replica.faults.mend();
    expect(await replica.end(id)).toMatchObject({ state: "succeeded" });
  });

  it("are not waited for when the job has to stop", async () => {
    const engine = new ScriptedEngine();
    await using alone = await startAlone(engine);
    const { replica } = alone;
    replica.faults.break("stage");
    const { id } = await replica.submit();
    await waitUntil(() => replica.log.text.includes("cannot store an output"), "it has failed once");
    await replica.service.cancel(id, caller, never);
    expect(await replica.end(id)).toMatchObject({ state: "cancelled" });
    replica.faults.mend();
  });

  it("must be pictures, and all there", async () => {
    const engine = new ScriptedEngine();
    engine.contentOf = () => Buffer.from("no picture");
    await using alone = await startAlone(engine, { maxAttempts: 1 });
    const { home, replica } = alone;
    const noPicture = await replica.end((await replica.submit()).id);
    expect(noPicture).toMatchObject({ state: "failed", failure: { reason: "NO_OUTPUT" } });
    engine.otherwise = async function* () {
      yield { type: "finished", outputs: [] };
    };
    const missing = await replica.end((await replica.submit()).id);
    expect(missing).toMatchObject({ state: "failed", failure: { reason: "NO_OUTPUT" } });
    expect(await home.blobNames()).toEqual([]);
  });
});
