import sharp from "sharp";
import { describe, expect, it } from "vitest";
import {
  onePixelPng,
  outputsOf,
  type RunScript,
  ScriptedEngine,
} from "../../test/support/scripted-engine.ts";
import { startAlone } from "../../test/support/start-jobs.ts";
import type { JobEvent } from "../domain/job-event.ts";

describe("an attempt", () => {
  it("tells of nodes and how far they are", async () => {
    const script: RunScript = async function* (request) {
      yield { type: "submitted" };
      yield { type: "started", cachedNodeIds: ["4"] };
      yield { type: "nodeStarted", nodeId: "3" };
      yield { type: "progress", nodeId: "3", value: 5, max: 20 };
      await new Promise(setImmediate);
      yield { type: "nodeFinished", nodeId: "3" };
      yield { type: "nodeStarted", nodeId: "9" };
      yield { type: "nodeFinished", nodeId: "9" };
      yield { type: "finished", outputs: outputsOf(request.graph) };
    };
    await using alone = await startAlone(new ScriptedEngine(script));
    const { id } = await alone.replica.submit();
    const story = await alone.replica.story(id);
    expect(story.map(({ data }) => data)).toMatchObject([
      { type: "accepted", generation: { task: { prompt: "a red fox" } } },
      { type: "queued", attempt: 1 },
      { type: "started", attempt: 1, nodeCount: 7, cachedNodeCount: 1 },
      { type: "nodeStarted", nodeId: "3", classType: "KSampler", title: "Sample image" },
      { type: "nodeStarted", nodeId: "9", classType: "SaveImage" },
      { type: "image" },
      { type: "completed" },
    ]);
    const { result } = await alone.replica.get(id);
    expect(result?.nodes.filter(({ cached }) => cached)).toMatchObject([{ nodeId: "4" }]);
    expect(result?.nodes).toContainEqual(
      expect.objectContaining({ nodeId: "3", durationMs: expect.any(Number) }),
    );
  });

  it("shows previews in the shape that was asked for", async () => {
    const seen = Promise.withResolvers<void>();
    const script: RunScript = async function* (request) {
      expect(request.previews).toBe(true);
      yield { type: "started", cachedNodeIds: [] };
      yield { type: "nodeStarted", nodeId: "103" };
      yield { type: "progress", nodeId: "103", value: 3, max: 20 };
      yield { type: "preview", nodeId: "103", mediaType: "image/png", data: onePixelPng };
      await seen.promise;
      yield { type: "finished", outputs: outputsOf(request.graph) };
    };
    await using alone = await startAlone(new ScriptedEngine(script));
    const { id } = await alone.replica.submit({ imageCount: 2, preview: { format: "webp", maxSidePx: 64 } });
    const events: JobEvent[] = [];
    for await (const event of alone.replica.watch(id)) {
      if (event.data.type === "preview") {
        events.push(event);
        seen.resolve();
      }
    }
    const [preview] = events;
    expect(preview).toMatchObject({
      sequence: 4n,
      data: { nodeId: "103", imageIndex: 1, step: 3, format: "webp", widthPx: 1, heightPx: 1 },
    });
    const data = preview?.data.type === "preview" ? preview.data.data : Buffer.alloc(0);
    expect(await sharp(data).metadata()).toMatchObject({ format: "webp" });
  });

  it("leaves out previews that nobody can read, and asks for none if none are wanted", async () => {
    const script: RunScript = async function* (request) {
      yield { type: "started", cachedNodeIds: [] };
      yield { type: "preview", nodeId: "3", mediaType: "image/png", data: Buffer.from("nonsense") };
      yield { type: "finished", outputs: outputsOf(request.graph) };
    };
    const engine = new ScriptedEngine(script, script);
    await using alone = await startAlone(engine);
    for (const preview of [{ preview: {} }, {}]) {
      const { id } = await alone.replica.submit(preview);
      const types = (await Array.fromAsync(alone.replica.watch(id))).map(({ data }) => data.type);
      expect(types.at(-1)).toBe("completed");
      expect(types).not.toContain("preview");
    }
    expect(engine.requests.map(({ previews }) => previews)).toEqual([true, false]);
  });
});
