import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { FEW_STEPS, freshPrefix, freshSeed, withInputs } from "./graphs.ts";
import { promptAccepted } from "./messages.ts";
import { imagesOf, lastMessage, type OpenServer, Session } from "./session.ts";
import { type Frame, ofType } from "./wire.ts";

/** The two largest seeds, 2^64 - 1 and one less; a JavaScript number cannot hold them (trap 21). */
const LARGEST_SEEDS = ["18446744073709551615", "18446744073709551614"] as const;

/** What happens to a prompt that is accepted and succeeds (protocol 2.4, 2.5, 3). */
export function describeExecution(open: OpenServer): void {
  describe("execution", () => {
    it("reports a prompt as start, cached, nodes in order, success, status, executing:null", async () => {
      await using session = await Session.start(open);
      const socket = await session.connect();
      const { promptId, frames } = await session.run(session.txt2img(), { socket });

      const types = frames.map((frame) => frame.type);
      expect(types.slice(0, 2)).toEqual(["execution_start", "execution_cached"]);
      expect(types.slice(-2)).toEqual(["execution_success", "executing"]);
      expect(executedNodes(frames).filter((node) => ["3", "8", "9"].includes(node))).toEqual(["3", "8", "9"]);
      expect(types.lastIndexOf("executed")).toBeLessThan(types.indexOf("execution_success"));

      const success = socket.frames.findIndex((frame) => frame.type === "execution_success");
      const afterSuccess = socket.frames.slice(success + 1).map((frame) => frame.type);
      expect(afterSuccess).toEqual(["status", "executing"]);
      expect(frames.at(-1)).toMatchObject({ data: { node: null, prompt_id: promptId } });
    });

    it("counts the steps of the sampler in progress events, some of which may be left out", async () => {
      await using session = await Session.start(open);
      const socket = await session.connect();
      const { frames } = await session.run(session.txt2img({ steps: 5 }), { socket });
      const progress = ofType(frames, "progress").filter(({ data }) => data.node === "3");
      expect(progress.every(({ data }) => data.max === 5)).toBe(true);
      const steps = progress.map(({ data }) => data.value);
      expect(steps).toEqual([1, 2, 3, 4, 5].filter((step) => steps.includes(step)));
      expect(steps).toEqual(expect.arrayContaining([1, 5]));
    });

    it("announces a node in progress_state before executing names it, and as finished afterwards", async () => {
      await using session = await Session.start(open);
      const socket = await session.connect();
      const { frames } = await session.run(session.txt2img(), { socket });
      const announced = frames.findIndex((frame) => stateOfNode(frame, "3") === "running");
      const started = frames.findIndex((frame) => frame.type === "executing" && frame.data.node === "3");
      const finished = frames.findIndex((frame) => stateOfNode(frame, "3") === "finished");
      expect(announced).toBeGreaterThanOrEqual(0);
      expect(started).toBeGreaterThan(announced);
      expect(finished).toBeGreaterThan(started);
      expect(ofType(frames, "progress_state").at(-1)?.data.nodes).toMatchObject({
        "3": { state: "finished", value: FEW_STEPS, max: FEW_STEPS, display_node_id: "3", real_node_id: "3" },
        "9": { state: "finished" },
      });
    });

    // Trap 6: at the success event the record may still be missing; run() reads it right after executing:null.
    it("has written the history record by the time of executing:null", async () => {
      await using session = await Session.start(open);
      const socket = await session.connect();
      const { promptId, record } = await session.run(session.txt2img(), { socket });
      expect(record.prompt[1]).toBe(promptId);
    });

    it("records a success with its graph, extra data, outputs and messages", async () => {
      await using session = await Session.start(open);
      const socket = await session.connect();
      const graph = session.txt2img();
      const extraData = { extra_pnginfo: { workflow: { note: "contract" } } };
      const { promptId, record } = await session.run(graph, { socket, extraData });
      expect(record.prompt).toEqual([
        expect.any(Number),
        promptId,
        graph,
        expect.objectContaining({ client_id: socket.clientId, ...extraData }),
        ["9"],
      ]);
      expect(record.status).toMatchObject({ status_str: "success", completed: true });
      expect(record.status.messages.map(([name]) => name)).toEqual([
        "execution_start",
        "execution_cached",
        "execution_success",
      ]);
      expect(record.meta).toMatchObject({ "9": { node_id: "9", display_node: "9", real_node_id: "9" } });
    });

    it("names the same files in the executed event and in the record", async () => {
      await using session = await Session.start(open);
      const socket = await session.connect();
      const { frames, record } = await session.run(session.txt2img(), { socket });
      const [executed] = ofType(frames, "executed");
      expect(executed?.data).toMatchObject({ node: "9", output: { images: imagesOf(record) } });
    });

    it("turns the prefix's directory into the subfolder and numbers the files of a batch", async () => {
      await using session = await Session.start(open);
      const socket = await session.connect();
      const id = randomUUID();
      const graph = session.txt2img({ batchSize: 3, filenamePrefix: `contract/${id}/image` });
      const { record } = await session.run(graph, { socket });
      expect(imagesOf(record)).toEqual(
        ["image_00001_.png", "image_00002_.png", "image_00003_.png"].map((filename) => ({
          filename,
          subfolder: `contract/${id}`,
          type: "output",
        })),
      );
    });

    // Trap 17, and why every job has a prefix of its own.
    it("runs only SaveImage again when nothing but the prefix changed", async () => {
      await using session = await Session.start(open);
      const socket = await session.connect();
      const seed = freshSeed();
      const first = await session.run(session.txt2img({ seed }), { socket });
      const second = await session.run(session.txt2img({ seed }), { socket });
      expect(executedNodes(second.frames)).toEqual(["9"]);
      expect(cachedNodes(second.frames)).toEqual(["3", "4", "5", "6", "7", "8"]);
      expect(ofType(second.frames, "progress")).toEqual([]);
      expect(imagesOf(second.record)).toHaveLength(1);
      expect(imagesOf(second.record)).not.toEqual(imagesOf(first.record));
    });

    it("runs nothing for a repeated graph and names the files of the first run", async () => {
      await using session = await Session.start(open);
      const socket = await session.connect();
      const graph = session.txt2img();
      const first = await session.run(graph, { socket });
      const second = await session.run(graph, { socket });
      expect(executedNodes(second.frames)).toEqual([]);
      expect(cachedNodes(second.frames)).toEqual(["3", "4", "5", "6", "7", "8", "9"]);
      expect(imagesOf(second.record)).toEqual(imagesOf(first.record));
      expect(ofType(second.frames, "executed").map(({ data }) => data.output)).toEqual([
        { images: imagesOf(first.record) },
      ]);
      expect(lastMessage(second.record)).toBe("execution_success");
    });

    it("runs a prompt under the id that the client chose", async () => {
      await using session = await Session.start(open);
      const socket = await session.connect();
      const promptId = randomUUID();
      const run = await session.run(session.txt2img(), { socket, promptId });
      expect(run.promptId).toBe(promptId);
      expect(run.frames[0]).toMatchObject({ type: "execution_start", data: { prompt_id: promptId } });
    });

    // Trap 1: nothing deduplicates, so the client has to look an id up before it sends it again.
    it("accepts the same id twice and runs it twice", async () => {
      await using session = await Session.start(open);
      const socket = await session.connect();
      const blocker = await session.startSlow(socket);
      const promptId = randomUUID();
      await session.submit(session.txt2img(), { socket, promptId });
      await session.submit(session.txt2img(), { socket, promptId });
      expect((await session.queue()).pending).toEqual([promptId, promptId]);
      await session.interrupt(blocker);
      await socket.whenEnded(promptId, 2);
      expect(ofType(socket.framesOf(promptId), "execution_success")).toHaveLength(2);
    });

    it("runs waiting prompts in the order of their submission", async () => {
      await using session = await Session.start(open);
      const socket = await session.connect();
      const blocker = await session.startSlow(socket);
      const waiting = [
        await session.submit(session.txt2img(), { socket }),
        await session.submit(session.txt2img(), { socket }),
        await session.submit(session.txt2img(), { socket }),
      ];
      await session.interrupt(blocker);
      for (const promptId of waiting) await socket.whenEnded(promptId);
      const started = ofType(socket.frames, "execution_start").map(({ data }) => data.prompt_id);
      expect(started).toEqual([blocker, ...waiting]);
    });

    it.each([
      ["a JSON number", LARGEST_SEEDS[0]],
      ["a string", `"${LARGEST_SEEDS[1]}"`],
    ])("samples with a seed of 64 bits, sent as %s", async (_form, seed) => {
      await using session = await Session.start(open);
      const socket = await session.connect();
      const reply = await session.http.post("/api/prompt", bodyWithSeed(session, socket.clientId, seed));
      const { prompt_id, node_errors } = reply.json(promptAccepted);
      expect(node_errors).toEqual({});
      await socket.whenEnded(prompt_id);
      expect(imagesOf(await session.record(prompt_id))).toHaveLength(1);
    });

    it("frees models and memory on request and still runs the next prompt", async () => {
      await using session = await Session.start(open);
      const socket = await session.connect();
      const { status } = await session.http.post("/api/free", { unload_models: true, free_memory: true });
      expect(status).toBe(200);
      const { record } = await session.run(session.txt2img(), { socket });
      expect(imagesOf(record)).toHaveLength(1);
    });
  });
}

/** The nodes that really ran, in order. */
function executedNodes(frames: readonly Frame[]): string[] {
  return ofType(frames, "executing").flatMap(({ data }) => data.node ?? []);
}

function cachedNodes(frames: readonly Frame[]): string[] {
  return ofType(frames, "execution_cached")
    .flatMap(({ data }) => data.nodes)
    .sort();
}

function stateOfNode(frame: Frame, nodeId: string): "running" | "finished" | undefined {
  return frame.type === "progress_state" ? frame.data.nodes[nodeId]?.state : undefined;
}

/** A prompt request whose seed stands in the JSON text exactly as given. */
function bodyWithSeed(session: Session, clientId: string, seed: string): string {
  const graph = withInputs(session.txt2img({ filenamePrefix: freshPrefix() }), "3", { seed: "<seed>" });
  return JSON.stringify({ prompt: graph, client_id: clientId }).replace('"<seed>"', seed);
}
