import { randomBytes, randomUUID } from "node:crypto";
import { createServer } from "node:net";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import type { ErrorReason } from "../../src/domain/errors.ts";
import { startDemoEngine } from "../../src/engine/demo/demo-engine.ts";
import type { FaultOrder } from "../../src/engine/demo/faults.ts";
import type { InputFile } from "../../src/engine/engine.ts";
import { inOnePiece } from "../../src/lib/in-one-piece.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import {
  connect,
  fetchFile,
  finish,
  node,
  type Outcome,
  openStage,
  pngSignature,
  reach,
  run,
  textToImage,
  untroubled,
} from "../support/comfyui-stage.ts";
import { queueOf } from "../support/foreign-prompt.ts";

const logger = createLogger({ level: "silent" });

describe("the ComfyUI adapter", () => {
  it("makes a picture: every phase, node and step in order, with previews, and the file itself", async () => {
    await using stage = await openStage({ stepMs: 20 });
    const seed = 2n ** 64n - 1n;
    const { events, files } = await finish(stage.engine, { graph: textToImage({ seed }) });
    expect(events.slice(0, 2)).toEqual([{ type: "submitted" }, { type: "started", cachedNodeIds: [] }]);
    const began = events.flatMap((event) => (event.type === "nodeStarted" ? event.nodeId : []));
    const ended = events.flatMap((event) => (event.type === "nodeFinished" ? event.nodeId : []));
    expect(began.toSorted()).toEqual(["3", "4", "5", "6", "7", "8", "9"]);
    expect(ended).toEqual(began);
    expect(
      events.flatMap((event) => (event.type === "progress" ? `${event.value}/${event.max}` : [])),
    ).toEqual(["1/4", "2/4", "3/4", "4/4"]);
    expect(events.filter(({ type }) => type === "preview")).not.toHaveLength(0);
    expect(events.filter(({ type }) => type === "output")).toHaveLength(1);
    const png = await fetchFile(stage.engine, files[0]);
    expect(png.subarray(0, 4)).toEqual(pngSignature);
    expect(png.includes(String(seed))).toBe(true);
  });

  it("sends no previews that were not asked for", async () => {
    await using stage = await openStage();
    const { events } = await finish(stage.engine, { previews: false });
    expect(events.some(({ type }) => type === "preview")).toBe(false);
  });

  it("finishes what is wholly cached, with the old file", async () => {
    await using stage = await openStage();
    const graph = textToImage();
    const first = await finish(stage.engine, { graph });
    const second = await finish(stage.engine, { graph });
    expect(second.files).toEqual(first.files);
    expect(second.events.some(({ type }) => type === "nodeStarted")).toBe(false);
  });

  it("knows what the backend is and has", async () => {
    await using stage = await openStage();
    expect(stage.engine.health()).toMatchObject({ state: "up", reason: "", builtIn: true });
    expect(stage.engine.health().version).toMatch(/^\d+\.\d+\.\d+$/);
    const catalog = await stage.engine.catalog(0, AbortSignal.timeout(5_000));
    expect(catalog.samplers).toContain("euler");
    expect(catalog.schedulers).toContain("normal");
    expect(catalog.models.checkpoint).not.toHaveLength(0);
    const classes = await stage.engine.nodeClasses(0, AbortSignal.timeout(5_000));
    const inputs = classes.get("KSampler")?.inputs ?? [];
    expect(inputs.find(({ name }) => name === "seed")).toMatchObject({ type: "INT", max: 2n ** 64n - 1n });
  });

  it("gives the backend the files that a graph reads before it submits the graph, once", async () => {
    await using stage = await openStage();
    const source = await sharp(randomBytes(60 * 40 * 3), { raw: { width: 60, height: 40, channels: 3 } })
      .png()
      .toBuffer();
    const fileName = `comfyrpc/${randomUUID()}.png`;
    let opened = 0;
    const input: InputFile = {
      fileName,
      sizeBytes: source.length,
      mediaType: "image/png",
      open: () => {
        opened++;
        return inOnePiece(source);
      },
    };
    for (const prefix of ["a", "b"]) {
      const graph = {
        "1": node("LoadImage", { image: fileName }),
        "2": node("SaveImage", { images: ["1", 0], filename_prefix: prefix }),
      };
      const { files } = await finish(stage.engine, { graph, inputs: [input] });
      const copy = sharp(await fetchFile(stage.engine, files[0])).raw();
      expect(await copy.toBuffer()).toEqual(await sharp(source).raw().toBuffer());
    }
    expect(opened).toBe(1);
  });

  it("runs many prompts at once without mixing them up", async () => {
    await using stage = await openStage({ stepMs: 0 });
    const seeds = Array.from({ length: 40 }, (_, index) => BigInt(index) + 2n ** 60n);
    const outcomes = await Promise.all(
      seeds.map((seed) => finish(stage.engine, { graph: textToImage({ seed, steps: 2 }) })),
    );
    for (const [index, { files }] of outcomes.entries()) {
      expect((await fetchFile(stage.engine, files[0])).includes(String(seeds[index]))).toBe(true);
    }
  });

  it("says which input of which node is wrong", async () => {
    await using stage = await openStage();
    const graph = textToImage();
    const broken = { ...graph, "3": node("KSampler", { ...graph["3"]?.inputs, sampler_name: "no such" }) };
    const failing = stage.engine.run(
      { promptId: randomUUID(), graph: broken, inputs: [], previews: false, resume: false },
      untroubled(),
    );
    await expect(Array.fromAsync(failing)).rejects.toMatchObject({
      reason: "WORKFLOW_REJECTED",
      details: {
        nodes: [
          { nodeId: "3", classType: "KSampler", errorType: "value_not_in_list", inputName: "sampler_name" },
        ],
      },
    });
  });

  it("has the backend forget a prompt's record when told to, at the latest when it is disposed of", async () => {
    await using stage = await openStage();
    const promptId = randomUUID();
    await finish(stage.engine, { promptId });
    stage.engine.forget(promptId);
    await stage.engine[Symbol.asyncDispose]();
    expect(await (await fetch(`${stage.demo.url}/history/${promptId}`)).json()).toEqual({});
  });
});

describe("the ComfyUI adapter, cancelled", () => {
  it("stops a running prompt on the backend, and no other", async () => {
    await using stage = await openStage({ stepMs: 20 });
    const stop = new AbortController();
    const other = finish(stage.engine);
    const { reason } = await run(stage.engine, {
      graph: textToImage({ steps: 10_000 }),
      cancel: stop.signal,
      onEvent: ({ type }) => type === "progress" && stop.abort(),
    });
    expect(reason).toBe("CANCELLED_BY_CALLER");
    await other;
    expect(await queueOf(stage.demo.url)).toEqual({ running: [], pending: [] });
  });

  it("takes a waiting prompt out of the queue while another runs", async () => {
    await using stage = await openStage({ stepMs: 20 });
    const stopFirst = new AbortController();
    const stopSecond = new AbortController();
    const second = Promise.withResolvers<Outcome>();
    const first = await run(stage.engine, {
      graph: textToImage({ steps: 10_000 }),
      cancel: stopFirst.signal,
      onEvent: ({ type }) => {
        if (type === "started") {
          const onEvent = () => stopSecond.abort();
          run(stage.engine, { cancel: stopSecond.signal, onEvent }).then((outcome) => {
            second.resolve(outcome);
            stopFirst.abort();
          }, second.reject);
        }
      },
    });
    expect((await second.promise).reason).toBe("CANCELLED_BY_CALLER");
    expect((await second.promise).events).toEqual([{ type: "submitted" }]);
    expect(first.reason).toBe("CANCELLED_BY_CALLER");
  });

  it("cancels when the caller leaves the loop early", async () => {
    await using stage = await openStage({ stepMs: 20 });
    const graph = textToImage({ steps: 10_000 });
    const request = { promptId: randomUUID(), graph, inputs: [], previews: false, resume: false };
    for await (const event of stage.engine.run(request, untroubled())) {
      if (event.type === "progress") {
        break;
      }
    }
    expect(await queueOf(stage.demo.url)).toEqual({ running: [], pending: [] });
  });

  it("cancels what runs when the engine is disposed of", async () => {
    await using demo = await startDemoEngine({ stepMs: 20, loadMs: 0, logger });
    const engine = connect(demo.url);
    const { reason } = await run(engine, {
      graph: textToImage({ steps: 10_000 }),
      onEvent: ({ type }) => type === "started" && void engine[Symbol.asyncDispose](),
    });
    expect(reason).toBe("CANCELLED_BY_CALLER");
    expect(await queueOf(demo.url)).toEqual({ running: [], pending: [] });
  });
});

const atSampler = { classType: "KSampler", step: 2 } as const;

describe("the ComfyUI adapter, when the backend fails a prompt", () => {
  it.each<[FaultOrder, ErrorReason]>([
    [{ type: "fail_node" }, "NODE_FAILED"],
    [{ type: "out_of_memory" }, "OUT_OF_MEMORY"],
    [{ type: "interrupt", ...atSampler }, "PROMPT_INTERRUPTED"],
    [{ type: "partial_validity" }, "WORKFLOW_REJECTED"],
    [{ type: "restart", ...atSampler }, "PROMPT_LOST"],
    [{ type: "restart", ...atSampler, downMs: 200 }, "PROMPT_LOST"],
    [{ type: "restart", ...atSampler, downMs: 3_000 }, "BACKEND_LOST"],
    [{ type: "stall", ...atSampler }, "BACKEND_STALLED"],
    [{ type: "refuse_prompt", times: 2 }, "NO_BACKEND"],
  ])("ends %j with %s", async (fault, reason) => {
    await using stage = await openStage({}, [fault]);
    // Long enough that a run without the fault, or one that survived it, would be seen to.
    expect((await run(stage.engine, { graph: textToImage({ steps: 2_000 }) })).reason).toBe(reason);
  });

  it("gives up a backend that answers nothing any more, and from which nothing is heard", async () => {
    await using stage = await openStage({}, [
      { type: "drop_socket", ...atSampler },
      { type: "refuse", ...atSampler, how: "unavailable", forMs: 60_000 },
    ]);
    expect((await run(stage.engine, { graph: textToImage({ steps: 2_000 }) })).reason).toBe("BACKEND_LOST");
    await reach(stage.engine, "down");
  });

  it("leaves nothing behind of a prompt that was accepted only in part", async () => {
    await using stage = await openStage({}, [{ type: "partial_validity" }]);
    await run(stage.engine, { graph: textToImage({ steps: 10_000 }) });
    expect(await queueOf(stage.demo.url)).toEqual({ running: [], pending: [] });
  });

  it("names the node that failed, without the host's paths", async () => {
    const message = "no such file: /srv/models/a.safetensors";
    await using stage = await openStage({}, [{ type: "fail_node", message }]);
    const failing = stage.engine.run(
      { promptId: randomUUID(), graph: textToImage(), inputs: [], previews: false, resume: false },
      untroubled(),
    );
    await expect(Array.fromAsync(failing)).rejects.toMatchObject({
      details: {
        nodes: [
          { nodeId: "3", classType: "KSampler", errorType: "ValueError", message: "no such file: [path]" },
        ],
      },
    });
  });
});

describe("the ComfyUI adapter, when the backend misbehaves", () => {
  it.each<FaultOrder>([
    { type: "drop_socket", ...atSampler },
    { type: "mute_socket", ...atSampler },
    { type: "mute_socket", now: true, whose: "all" },
    { type: "drop_socket", now: true, whose: "all" },
    { type: "drop_socket" },
    { type: "mute_socket" },
    { type: "refuse", ...atSampler, forMs: 300 },
    { type: "refuse", ...atSampler, how: "unavailable", forMs: 300 },
    { type: "refuse_prompt" },
    { type: "fail_accepted_prompt" },
    { type: "reset_accepted_prompt" },
    { type: "late_history", delayMs: 400 },
    { type: "truncated_download" },
    { type: "truncated_download", afterBytes: 1, times: 2 },
    { type: "slow_download", bytesPerSecond: 100_000 },
  ])("makes the picture in spite of %j", async (fault) => {
    await using stage = await openStage({}, [fault]);
    const { files } = await finish(stage.engine, { graph: textToImage({ steps: 20 }) });
    expect((await fetchFile(stage.engine, files[0])).subarray(0, 4)).toEqual(pngSignature);
    await finish(stage.engine);
    await reach(stage.engine, "up");
  });

  it("goes by events while nothing else is answered", async () => {
    await using stage = await openStage({ recordTimeoutMs: 100 }, [
      { type: "refuse", ...atSampler, forMs: 2_000 },
    ]);
    const { files } = await finish(stage.engine, { graph: textToImage({ steps: 20 }) });
    expect(files[0]?.filename).toMatch(/\.png$/);
  });

  it("runs an accepted prompt once, though its answer was an error", async () => {
    await using stage = await openStage({}, [{ type: "fail_accepted_prompt" }]);
    const { files } = await finish(stage.engine);
    const history = (await (await fetch(`${stage.demo.url}/history`)).json()) as object;
    expect(Object.keys(history)).toHaveLength(1);
    expect(files[0]?.filename).toMatch(/00001/);
  });

  it("reports a file that is gone", async () => {
    await using stage = await openStage({}, [{ type: "lose_output" }]);
    const { files } = await finish(stage.engine);
    await expect(fetchFile(stage.engine, files[0])).rejects.toMatchObject({ reason: "NO_OUTPUT" });
  });

  it("hears again, after a muted socket, what becomes of the next prompts", async () => {
    await using stage = await openStage({}, [{ type: "mute_socket", now: true, whose: "all" }]);
    const deaf = await finish(stage.engine);
    expect(deaf.events.some(({ type }) => type === "nodeStarted")).toBe(false);
    await reach(stage.engine, "up");
    const { events } = await finish(stage.engine);
    expect(events.some(({ type }) => type === "nodeStarted")).toBe(true);
  });

  it("cancels a prompt whose events cannot be had", async () => {
    await using stage = await openStage({ stepMs: 20 }, [{ type: "drop_socket" }]);
    const stop = new AbortController();
    const { reason } = await run(stage.engine, {
      graph: textToImage({ steps: 10_000 }),
      cancel: stop.signal,
      onEvent: ({ type }) => type === "started" && stop.abort(),
    });
    expect(reason).toBe("CANCELLED_BY_CALLER");
    expect(await queueOf(stage.demo.url)).toEqual({ running: [], pending: [] });
  });

  it("is down after a stall, and up again once the worker has moved on", async () => {
    await using stage = await openStage({ pendingSilenceMs: 60_000 }, [{ type: "stall", ...atSampler }]);
    expect((await run(stage.engine)).reason).toBe("BACKEND_STALLED");
    expect(stage.engine.health().state).toBe("down");
    stage.demo.faults.clear();
    await finish(stage.engine);
    await reach(stage.engine, "up");
  });

  it("cancels, once the backend is back, what was abandoned there meanwhile", async () => {
    await using stage = await openStage({ stepMs: 20 }, [
      { type: "drop_socket", ...atSampler },
      { type: "refuse", ...atSampler, forMs: 2_000 },
    ]);
    const promptId = randomUUID();
    const graph = textToImage({ steps: 10_000 });
    expect((await run(stage.engine, { promptId, graph })).reason).toBe("BACKEND_LOST");
    stage.engine.abandon(promptId);
    for await (const { queueDepth, state } of stage.engine.watchHealth(AbortSignal.timeout(10_000))) {
      if (state === "up" && queueDepth === 0) {
        break;
      }
    }
    expect(await queueOf(stage.demo.url)).toEqual({ running: [], pending: [] });
  });
});

describe("the ComfyUI adapter, without a backend", () => {
  it("starts, refuses prompts at once, and is up when the backend comes", async () => {
    const port = await freePort();
    await using engine = connect(`http://127.0.0.1:${port}`);
    await reach(engine, "down");
    expect((await run(engine)).reason).toBe("NO_BACKEND");
    await expect(engine.catalog(0, AbortSignal.timeout(5_000))).rejects.toMatchObject({
      reason: "NO_BACKEND",
    });
    await using _demo = await startDemoEngine({ port, stepMs: 0, loadMs: 0, logger });
    await reach(engine, "up");
    await finish(engine);
  });

  it("notices at once that the backend has gone, and that it is back", async () => {
    const port = await freePort();
    await using engine = connect(`http://127.0.0.1:${port}`, { healthIntervalMs: 500 });
    {
      await using _demo = await startDemoEngine({ port, stepMs: 0, loadMs: 0, logger });
      await reach(engine, "up");
    }
    await reach(engine, "down");
    await using _demo = await startDemoEngine({ port, stepMs: 0, loadMs: 0, logger });
    await reach(engine, "up");
  });
});

/** A port that nobody listens at, for as long as nobody else takes it. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") {
    throw new Error("no port");
  }
  return address.port;
}
