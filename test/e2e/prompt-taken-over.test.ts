import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { ErrorReason } from "../../src/domain/errors.ts";
import type { WorkflowGraph } from "../../src/domain/graph.ts";
import type { FaultOrder } from "../../src/engine/demo/faults.ts";
import type { Engine, RunEvent } from "../../src/engine/engine.ts";
import {
  connect,
  fetchFile,
  finish,
  openStage,
  pngSignature,
  reach,
  run,
  type Stage,
  textToImage,
} from "../support/comfyui-stage.ts";
import { askEngine } from "../support/engine-account.ts";
import { watchRuns } from "../support/engine-runs.ts";
import { queueOf } from "../support/foreign-prompt.ts";
import { waitUntil } from "../support/wait-until.ts";

/** Submits a prompt, and leaves it at its first event of a type. Returns its id. */
async function runAndLeave(
  engine: Engine,
  at: RunEvent["type"],
  graph: WorkflowGraph = textToImage(),
): Promise<string> {
  const promptId = randomUUID();
  const leave = new AbortController();
  const onEvent = ({ type }: RunEvent) => type === at && leave.abort();
  const outcome = await run(engine, { promptId, graph, leave: leave.signal, onEvent });
  expect(outcome.reason).toBe("PROMPT_LEFT");
  return promptId;
}

/** Waits until the built-in engine has a record of a prompt. */
async function ended({ demo }: Stage, promptId: string): Promise<void> {
  await waitUntil(async () => promptId in (await askEngine(demo.url)).ended, "the prompt has ended");
}

/** Waits until the built-in engine has nothing in its queue. */
async function idle({ demo }: Stage): Promise<void> {
  await waitUntil(async () => {
    const { running, pending } = await queueOf(demo.url);
    return running.length + pending.length === 0;
  }, "the queue is empty");
}

function types(events: readonly RunEvent[]): readonly string[] {
  return events.map(({ type }) => type);
}

describe("a prompt that one adapter has left and another resumes", () => {
  it("goes on running, is followed to its end, and has run once", async () => {
    await using stage = await openStage({ stepMs: 20 });
    const runs = watchRuns(stage.demo);
    const promptId = await runAndLeave(stage.engine, "progress", textToImage({ steps: 30 }));
    await stage.engine[Symbol.asyncDispose](); // as at the end of its process: nothing listens to its socket any more
    await using successor = connect(stage.demo.url);
    const { events, files } = await finish(successor, { promptId, resume: true });
    expect(types(events)).toEqual(["submitted", "started", "finished"]);
    expect((await fetchFile(successor, files[0])).subarray(0, 4)).toEqual(pngSignature);
    expect(runs.begun).toEqual([promptId]);
    expect(runs.steps(promptId)).toBe(30);
  });

  it("is followed while it waits for its turn", async () => {
    await using stage = await openStage({ stepMs: 20 });
    const runs = watchRuns(stage.demo);
    const firstId = await runAndLeave(stage.engine, "started", textToImage({ steps: 10_000 }));
    const secondId = await runAndLeave(stage.engine, "submitted");
    await using successor = connect(stage.demo.url);
    const onEvent = ({ type }: RunEvent) => type === "submitted" && stage.engine.abandon(firstId);
    const { events } = await finish(successor, { promptId: secondId, resume: true, onEvent });
    expect(types(events)).toEqual(["submitted", "started", "finished"]);
    expect(runs.begun).toEqual([firstId, secondId]);
  });

  it("is harvested if it has ended meanwhile", async () => {
    await using stage = await openStage();
    const runs = watchRuns(stage.demo);
    const seed = 2n ** 63n + 1n;
    const promptId = await runAndLeave(stage.engine, "started", textToImage({ seed }));
    await ended(stage, promptId);
    await using successor = connect(stage.demo.url);
    const { files } = await finish(successor, { promptId, resume: true });
    expect((await fetchFile(successor, files[0])).includes(String(seed))).toBe(true);
    expect(runs.begun).toEqual([promptId]);
  });

  it("is harvested if it had nothing to do, with the old file", async () => {
    await using stage = await openStage();
    const graph = textToImage();
    const { files } = await finish(stage.engine, { graph });
    const promptId = await runAndLeave(stage.engine, "submitted", graph);
    await ended(stage, promptId);
    await using successor = connect(stage.demo.url);
    expect((await finish(successor, { promptId, graph, resume: true })).files).toEqual(files);
  });

  it.each<[FaultOrder, ErrorReason]>([
    [{ type: "fail_node" }, "NODE_FAILED"],
    [{ type: "out_of_memory" }, "OUT_OF_MEMORY"],
    [{ type: "interrupt", classType: "KSampler", step: 2 }, "PROMPT_INTERRUPTED"],
  ])("ends as it did meanwhile: %j with %s", async (fault, reason) => {
    await using stage = await openStage({}, [fault]);
    const runs = watchRuns(stage.demo);
    const promptId = await runAndLeave(stage.engine, "submitted");
    await ended(stage, promptId);
    await using successor = connect(stage.demo.url);
    expect((await run(successor, { promptId, resume: true })).reason).toBe(reason);
    expect(runs.begun).toEqual([promptId]);
  });

  it("is lost if the backend has forgotten it, and is not run anew", async () => {
    await using stage = await openStage();
    const runs = watchRuns(stage.demo);
    const promptId = await runAndLeave(stage.engine, "started", textToImage({ steps: 10_000 }));
    stage.demo.faults.order({ type: "restart", now: true });
    await using successor = connect(stage.demo.url);
    expect((await run(successor, { promptId, resume: true })).reason).toBe("PROMPT_LOST");
    expect(runs.begun).toEqual([promptId]);
  });

  it("is lost if it was never submitted, and is not submitted then", async () => {
    await using stage = await openStage();
    const runs = watchRuns(stage.demo);
    expect(await run(stage.engine, { resume: true })).toMatchObject({ reason: "PROMPT_LOST", events: [] });
    await finish(stage.engine);
    expect(runs.begun).toHaveLength(1);
  });

  it("was submitted if it was left while that was under way, and is there", async () => {
    await using stage = await openStage({ stepMs: 20 });
    const runs = watchRuns(stage.demo);
    const promptId = randomUUID();
    const leave = new AbortController();
    const outcome = await run(stage.engine, {
      promptId,
      leave: leave.signal,
      maySubmit: () => {
        setImmediate(() => leave.abort());
        return true;
      },
    });
    expect(outcome).toMatchObject({ reason: "PROMPT_LEFT", events: [{ type: "submitted" }] });
    await using successor = connect(stage.demo.url);
    await finish(successor, { promptId, resume: true });
    expect(runs.begun).toEqual([promptId]);
  });

  it("is not sent at all if its caller may not submit any more", async () => {
    await using stage = await openStage();
    const outcome = await run(stage.engine, { maySubmit: () => false });
    expect(outcome).toMatchObject({ reason: "PROMPT_LEFT", events: [] });
    expect(await askEngine(stage.demo.url)).toEqual({ running: [], pending: [], ended: {} });
  });

  it("is left as it is by an adapter that has been disposed of", async () => {
    await using stage = await openStage({ stepMs: 20 });
    const promptId = await runAndLeave(stage.engine, "started", textToImage({ steps: 30 }));
    await stage.engine[Symbol.asyncDispose]();
    expect((await run(stage.engine, { promptId, resume: true })).reason).toBe("PROMPT_LEFT");
    await using successor = connect(stage.demo.url);
    await finish(successor, { promptId, resume: true });
  });

  it("can be resumed by the adapter that left it", async () => {
    await using stage = await openStage({ stepMs: 20 });
    const runs = watchRuns(stage.demo);
    const promptId = await runAndLeave(stage.engine, "progress", textToImage({ steps: 30 }));
    await finish(stage.engine, { promptId, resume: true });
    expect(runs.begun).toEqual([promptId]);
  });
});

describe("a resumed prompt, cancelled", () => {
  it.each(["started", "progress"] as const)("is stopped while it runs (left at %s)", async (at) => {
    await using stage = await openStage({ stepMs: 20 });
    const promptId = await runAndLeave(stage.engine, at, textToImage({ steps: 10_000 }));
    await using successor = connect(stage.demo.url);
    const cancel = new AbortController();
    const onEvent = ({ type }: RunEvent) => type === "started" && cancel.abort();
    const { reason } = await run(successor, { promptId, resume: true, cancel: cancel.signal, onEvent });
    expect(reason).toBe("CANCELLED_BY_CALLER");
    expect(await queueOf(stage.demo.url)).toEqual({ running: [], pending: [] });
  });

  it("is taken out of the queue while another runs, which goes on", async () => {
    await using stage = await openStage({ stepMs: 20 });
    const firstId = await runAndLeave(stage.engine, "started", textToImage({ steps: 10_000 }));
    const secondId = await runAndLeave(stage.engine, "submitted");
    await using successor = connect(stage.demo.url);
    const cancel = AbortSignal.abort();
    const { reason } = await run(successor, { promptId: secondId, resume: true, cancel });
    expect(reason).toBe("CANCELLED_BY_CALLER");
    expect(await queueOf(stage.demo.url)).toEqual({ running: [firstId], pending: [] });
  });
});

describe("a prompt that is abandoned", () => {
  it.each<[string, RunEvent["type"]]>([
    ["waits", "submitted"],
    ["runs", "started"],
  ])("is cancelled while it %s, though its run has ended", async (_what, at) => {
    await using stage = await openStage({ stepMs: 20 });
    const graph = textToImage({ steps: 10_000 });
    const firstId = at === "submitted" ? await runAndLeave(stage.engine, "started", graph) : undefined;
    const promptId = await runAndLeave(stage.engine, at, graph);
    await using successor = connect(stage.demo.url);
    successor.abandon(promptId);
    await waitUntil(async () => {
      const { running, pending } = await queueOf(stage.demo.url);
      return ![...running, ...pending].includes(promptId);
    }, "the prompt is gone");
    expect((await queueOf(stage.demo.url)).running).toEqual(firstId === undefined ? [] : [firstId]);
  });

  it("is cancelled as soon as the backend is back", async () => {
    await using stage = await openStage({ stepMs: 20 });
    const promptId = await runAndLeave(stage.engine, "started", textToImage({ steps: 10_000 }));
    stage.demo.faults.order({ type: "refuse", now: true, forMs: 1_000 });
    await reach(stage.engine, "down");
    stage.engine.abandon(promptId);
    await reach(stage.engine, "up");
    await idle(stage);
  });

  it("is cancelled also if the engine is disposed of right after that", async () => {
    await using stage = await openStage({ stepMs: 20 });
    const promptId = await runAndLeave(stage.engine, "started", textToImage({ steps: 10_000 }));
    stage.engine.abandon(promptId);
    await stage.engine[Symbol.asyncDispose]();
    await idle(stage);
  });

  it("is nothing to worry about if it was never there", async () => {
    await using stage = await openStage();
    stage.engine.abandon(randomUUID());
    await finish(stage.engine);
  });
});

describe("a prompt on a backend that is out of reach", () => {
  it("is found again when the backend is back in time", async () => {
    await using stage = await openStage({ stepMs: 20 });
    const runs = watchRuns(stage.demo);
    const promptId = await runAndLeave(stage.engine, "started", textToImage({ steps: 20 }));
    await using successor = connect(stage.demo.url, { lostAfterMs: 15_000 });
    stage.demo.faults.order({ type: "refuse", now: true, how: "unavailable", forMs: 500 });
    await finish(successor, { promptId, resume: true });
    expect(runs.begun).toEqual([promptId]);
  });

  it("is lost to the run, but not cancelled, and can be resumed when the backend is back", async () => {
    await using stage = await openStage({ stepMs: 20 }, [
      { type: "drop_socket", classType: "KSampler", step: 2 },
      { type: "refuse", classType: "KSampler", step: 2, forMs: 2_000 },
    ]);
    const runs = watchRuns(stage.demo);
    const promptId = randomUUID();
    const graph = textToImage({ steps: 200 });
    expect((await run(stage.engine, { promptId, graph })).reason).toBe("BACKEND_LOST");
    await reach(stage.engine, "up");
    await finish(stage.engine, { promptId, graph, resume: true });
    expect(runs.begun).toEqual([promptId]);
  });
});
