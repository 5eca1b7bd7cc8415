import { hash } from "node:crypto";
import sharp from "sharp";
import { beforeAll, describe, expect, it } from "vitest";
import type { JobEvent } from "../../gen/comfyrpc/v1/job_event_pb.js";
import { JobState } from "../../gen/comfyrpc/v1/job_state_pb.js";
import type { DemoEngine } from "../../src/engine/demo/demo-engine.ts";
import type { FaultOrder } from "../../src/engine/demo/faults.ts";
import { watchRuns } from "../support/engine-runs.ts";
import { queueOf, submitForeignPrompt } from "../support/foreign-prompt.ts";
import {
  backendOf,
  connectImages,
  draw,
  type ImageClient,
  type Outcome,
  type SpecInit,
  untilBackend,
} from "../support/image-client.ts";
import { connectJobs, getJob, lastingNumbers, watchJob } from "../support/job-client.ts";
import { untilJobs } from "../support/job-counts.ts";
import { expectNoLeak } from "../support/rpc-failure.ts";
import {
  type ServiceFixture,
  type ServiceFixtureOptions,
  startServiceFixture,
} from "../support/start-service.ts";
import { waitUntil } from "../support/wait-until.ts";

/**
 * What becomes of a call on the whole service when its backend fails in each of the ways that the built-in engine can be
 * ordered to. The bound on an outage is far above the outages that are to be survived, and small where one is not.
 */

const steps = 12;
const spec: SpecInit = { prompt: "a red fox in the snow", widthPx: 64, heightPx: 64, steps, seed: 7n };

/** Long enough that a run which nobody stops would be seen to go on. */
const longSpec: SpecInit = { ...spec, steps: 150 };

/** Amid the work of the sampler. */
const atSampler = { classType: "KSampler", step: 2 } as const;

const patient = { COMFYUI_STALL_SECONDS: "10", COMFYUI_LOST_SECONDS: "30" };
const hasty = { COMFYUI_STALL_SECONDS: "1", COMFYUI_LOST_SECONDS: "1" };

let expectedPixels = "";

beforeAll(async () => {
  await using stage = await openStage();
  const { images } = await draw(stage.client, spec);
  expectedPixels = await pixelsOf(images[0]);
});

/** First, as it takes longest: the others run beside it. */
describe.concurrent("a call ends", () => {
  it("of its own accord, with BACKEND_STALLED, if the worker never moves again", {
    timeout: 60_000,
  }, async () => {
    await using stage = await openStage({ env: hasty });
    order(stage.engine, [{ type: "stall", ...atSampler }]);
    const { failure } = await draw(stage.client, longSpec);
    expect(failure).toMatchObject({ code: "Unavailable", reason: "BACKEND_STALLED" });
    expect(stage.runs.begun).toHaveLength(1);
    // Only another prompt can show that the worker is back.
    await expectGoodAgain(stage, "DEGRADED");
  });
});

describe.concurrent("a call survives, in one run", () => {
  it.each<[FaultOrder[]]>([
    [[{ type: "drop_socket" }]],
    [[{ type: "drop_socket", ...atSampler }]],
    [[{ type: "drop_socket", now: true, whose: "all" }]],
    [[{ type: "mute_socket" }]],
    [[{ type: "mute_socket", ...atSampler }]],
    [[{ type: "mute_socket", now: true, whose: "all" }]],
    [[{ type: "refuse", ...atSampler, forMs: 300 }]],
    [[{ type: "refuse", ...atSampler, how: "unavailable", forMs: 300 }]],
    [[{ type: "refuse", classType: "SaveImage", forMs: 1_000 }]],
    [[{ type: "refuse", classType: "SaveImage", how: "unavailable", forMs: 1_000 }]],
    [[{ type: "refuse_prompt" }]],
    [[{ type: "fail_accepted_prompt" }]],
    [[{ type: "reset_accepted_prompt" }]],
    [[{ type: "slow_download", bytesPerSecond: 100_000 }]],
    [[{ type: "truncated_download" }]],
    [[{ type: "truncated_download", afterBytes: 0, times: 2 }]],
    [[{ type: "late_history", delayMs: 500 }]],
    [
      [
        { type: "drop_socket", ...atSampler },
        { type: "refuse", ...atSampler, forMs: 300 },
      ],
    ],
  ])("%j", async (faults) => {
    await using stage = await openStage({ env: patient });
    order(stage.engine, faults);
    const outcome = await draw(stage.client, spec);
    await expectPicture(outcome, { attempts: 1 });
    expect(stage.runs.begun).toHaveLength(1);
    expect(stage.runs.steps(stage.runs.begun[0] ?? "")).toBe(steps);
    await expectGoodAgain(stage);
  });

  it.each<FaultOrder>([
    { type: "refuse", now: true, forMs: 300 },
    { type: "refuse", now: true, how: "unavailable", forMs: 300 },
  ])("a backend that is away when it is to be given the prompt: %j", async (fault) => {
    await using stage = await openStage({ env: patient });
    await expectPicture(await draw(stage.client, spec), { attempts: 1 });
    order(stage.engine, [fault]);
    await expectPicture(await draw(stage.client, spec), { attempts: 1 });
    expect(stage.runs.begun).toHaveLength(2);
    await expectGoodAgain(stage);
  });

  it.each<[string, readonly FaultOrder[]]>([
    ["a restart just after its work was done and its image fetched", []],
    ["such a restart before its record was read", [{ type: "late_history", delayMs: 60_000 }]],
  ])("%s", async (_, faults) => {
    await using stage = await openStage({ env: patient });
    order(stage.engine, faults);
    const outcome = await draw(stage.client, spec, {
      onEvent: ({ event }) =>
        event.case === "image" && order(stage.engine, [{ type: "restart", now: true, downMs: 200 }]),
    });
    await expectPicture(outcome, { attempts: 1 });
    expect(stage.runs.begun).toHaveLength(1);
    await expectGoodAgain(stage);
  });

  it("a socket that falls silent shortly before the end, though stalls are noticed early", async () => {
    await using stage = await openStage({ env: hasty, engine: { stepMs: 20 } });
    order(stage.engine, [{ type: "mute_socket", classType: "KSampler", step: 50 }]);
    const { failure, result } = await draw(stage.client, { ...spec, steps: 75 });
    expect(failure).toBeUndefined();
    expect(result).toMatchObject({ attemptCount: 1 });
    expect(stage.runs.begun).toHaveLength(1);
    // It was no stall, so the next call is taken without delay.
    await expectPicture(await draw(stage.client, spec), { attempts: 1 });
    await expectGoodAgain(stage);
  });
});

describe.concurrent("a call is run again, and only because its first run is lost, after", () => {
  it.each<FaultOrder[]>([
    [{ type: "restart" }],
    [{ type: "restart", ...atSampler }],
    [{ type: "restart", ...atSampler, downMs: 300 }],
    [{ type: "restart", classType: "SaveImage", downMs: 300 }],
    [{ type: "interrupt", ...atSampler }],
    [{ type: "out_of_memory" }],
    [{ type: "out_of_memory", times: 5 }],
  ])("%j", async (fault) => {
    await using stage = await openStage({ env: patient });
    order(stage.engine, [fault]);
    const outcome = await draw(stage.client, spec);
    await expectPicture(outcome, { attempts: 2 });
    expect(
      outcome.events.flatMap(({ event }) => (event.case === "queued" ? event.value.attempt : [])),
    ).toEqual([1, 2]);
    const { begun } = stage.runs;
    expect(new Set(begun).size).toBe(2);
    expect(begun).toHaveLength(2);
    await expectGoodAgain(stage);
  });

  it("a restart while it waits behind the prompt of somebody else", async () => {
    await using stage = await openStage({ env: patient, engine: { stepMs: 20 } });
    const foreign = await submitForeignPrompt(stage.engine.url, 10_000);
    const outcome = draw(stage.client, spec);
    await waitUntil(async () => (await queueOf(stage.engine.url)).pending.length === 1, "ours waits there");
    order(stage.engine, [{ type: "restart", now: true }]);
    await expectPicture(await outcome, { attempts: 2 });
    expect(stage.runs.begun).toEqual([foreign.id, expect.any(String)]);
    await expectGoodAgain(stage);
  });

  it("a restart between its images, of which the first is not drawn or sent again", async () => {
    await using stage = await openStage({ env: patient, engine: { stepMs: 20 } });
    let fetched = 0;
    const onEvent = ({ event }: JobEvent) => {
      if (event.case === "image" && ++fetched === 1) {
        order(stage.engine, [{ type: "restart", now: true }]);
      }
    };
    const outcome = await draw(stage.client, { ...spec, imageCount: 2 }, { onEvent });
    expect(outcome.failure).toBeUndefined();
    expect(outcome.result).toMatchObject({ attemptCount: 2, images: [{ seed: 7n }, { seed: 8n }] });
    expect(fetched).toBe(2);
    expect(await pixelsOf(outcome.images[0])).toBe(expectedPixels);
    expect(await pixelsOf(outcome.images[1])).not.toBe(expectedPixels);
    await expectGoodAgain(stage);
  });

  it("two refusals in a row, without having been run", async () => {
    await using stage = await openStage({ env: patient });
    order(stage.engine, [{ type: "refuse_prompt", times: 2 }]);
    await expectPicture(await draw(stage.client, spec), { attempts: 1 });
    expect(stage.runs.begun).toHaveLength(1);
    await expectGoodAgain(stage);
  });
});

describe.concurrent("a call fails with", () => {
  interface Failing {
    readonly faults: readonly FaultOrder[];
    readonly code: string;
    readonly reason: string;
    /** Node id, class and kind of error of each node in `WorkflowFailure`. */
    readonly nodes?: readonly (readonly [string, string, string])[];
    readonly backend: "UP" | "DOWN";
    readonly runs: number;
    readonly env?: Readonly<Record<string, string>>;
  }

  const oom = "torch.OutOfMemoryError";

  it.each<[string, Failing]>([
    [
      "NO_BACKEND when the backend stays away for too long",
      {
        faults: [{ type: "restart", ...atSampler, downMs: 60_000 }],
        ...{ code: "Unavailable", reason: "NO_BACKEND", backend: "DOWN", runs: 1, env: hasty },
      },
    ],
    [
      "NO_BACKEND when a proxy in front of the backend says nothing but 503 for too long",
      {
        faults: [
          { type: "drop_socket", ...atSampler },
          { type: "refuse", ...atSampler, how: "unavailable", forMs: 60_000 },
        ],
        ...{ code: "Unavailable", reason: "NO_BACKEND", backend: "DOWN", runs: 1, env: hasty },
      },
    ],
    [
      "BACKEND_LOST when the backend loses every run",
      {
        faults: [{ type: "restart", ...atSampler, times: 3 }],
        ...{ code: "Unavailable", reason: "BACKEND_LOST", backend: "UP", runs: 3 },
      },
    ],
    [
      "BACKEND_LOST when somebody interrupts every run",
      {
        faults: [{ type: "interrupt", ...atSampler, times: 3 }],
        ...{ code: "Unavailable", reason: "BACKEND_LOST", backend: "UP", runs: 3 },
      },
    ],
    [
      "NO_BACKEND when the backend queues nothing",
      {
        faults: [{ type: "refuse_prompt", times: 100 }],
        ...{ code: "Unavailable", reason: "NO_BACKEND", backend: "UP", runs: 0, env: hasty },
      },
    ],
    [
      "NODE_FAILED when a node fails",
      {
        faults: [{ type: "fail_node", classType: "VAEDecode", exceptionType: "RuntimeError" }],
        ...{ code: "FailedPrecondition", reason: "NODE_FAILED", backend: "UP", runs: 1 },
        nodes: [["8", "VAEDecode", "RuntimeError"]],
      },
    ],
    [
      "OUT_OF_MEMORY when freeing memory did not help",
      {
        faults: [{ type: "out_of_memory", persistent: true, times: 100 }],
        ...{ code: "ResourceExhausted", reason: "OUT_OF_MEMORY", backend: "UP", runs: 2 },
        nodes: [["3", "KSampler", oom]],
      },
    ],
    [
      "WORKFLOW_REJECTED when only a part of the workflow is taken",
      {
        faults: [{ type: "partial_validity" }],
        ...{ code: "InvalidArgument", reason: "WORKFLOW_REJECTED", backend: "UP", runs: 1 },
        nodes: [["9", "SaveImage", "required_input_missing"]],
      },
    ],
    [
      "NO_OUTPUT when the file is gone, also that of a second run",
      {
        faults: [{ type: "lose_output", times: 100 }],
        ...{ code: "FailedPrecondition", reason: "NO_OUTPUT", backend: "UP", runs: 2 },
      },
    ],
    [
      "NO_OUTPUT when the file never arrives whole, also that of a second run",
      {
        faults: [{ type: "truncated_download", times: 100 }],
        ...{ code: "FailedPrecondition", reason: "NO_OUTPUT", backend: "UP", runs: 2 },
      },
    ],
  ])("%s", async (_, { faults, env = patient, code, reason, nodes = [], backend, runs }) => {
    await using stage = await openStage({ env });
    order(stage.engine, faults);
    const { failure, images } = await draw(stage.client, longSpec);
    expect(failure).toMatchObject({ code, reason });
    expect(failure?.nodes.map((node) => [node.nodeId, node.classType, node.errorType])).toEqual(nodes);
    expect(images).toEqual([]);
    expectNoLeak(failure?.everything ?? "");
    expect(stage.runs.begun.length).toBeLessThanOrEqual(runs);
    expect(new Set(stage.runs.begun).size).toBe(stage.runs.begun.length);
    await untilBackend(stage.client, backend);
    expectNoLeak((await backendOf(stage.client)).reason);
    await expectGoodAgain(stage);
  });

  it("BACKEND_STALLED when the worker stands still, and the backend counts as down until it moves", async () => {
    await using stage = await openStage({ env: { ...patient, COMFYUI_STALL_SECONDS: "1" } });
    order(stage.engine, [{ type: "stall", ...atSampler }]);
    const outcome = draw(stage.client, longSpec);
    await untilBackend(stage.client, "DOWN");
    await clearFaults(stage.engine);
    const { failure } = await outcome;
    expect(failure).toMatchObject({ code: "Unavailable", reason: "BACKEND_STALLED" });
    expectNoLeak(failure?.everything ?? "");
    expect(stage.runs.begun).toHaveLength(1);
    await expectGoodAgain(stage);
  });

  it.each<FaultOrder>([
    { type: "refuse", now: true, forMs: 60_000 },
    { type: "refuse", now: true, how: "unavailable", forMs: 60_000 },
  ])("UNAVAILABLE, and when to try again, if the backend is away when the call comes: %j", async (fault) => {
    await using stage = await openStage({ env: hasty });
    order(stage.engine, [fault]);
    const { failure } = await draw(stage.client, spec);
    // Whether the prompt was sent depends on whether the models of the backend were known already.
    expect(failure).toMatchObject({
      code: "Unavailable",
      reason: expect.stringMatching(/^(NO_BACKEND|BACKEND_LOST)$/),
    });
    expectNoLeak(failure?.everything ?? "");
    expect(stage.runs.begun).toEqual([]);
    await untilBackend(stage.client, "DOWN");
    await expectGoodAgain(stage);
    expect(failure?.retryAfterMs).toBeGreaterThan(0);
  });

  it.each([
    "no such file: '/srv/models/sd15.safetensors'",
    "[Errno 2] No such file or directory: '/home/alice/My Models/sd15.safetensors'",
    "HTTPConnectionPool(host='10.0.0.5', port=8000): Max retries exceeded with url: /models",
    "[Errno 111] Connect call failed ('10.0.0.5', 8188)",
    "Cannot connect to host 10.0.0.5:8188 ssl:default",
    'bad weights\nTraceback (most recent call last):\n  File "/opt/ComfyUI/execution.py", line 1, in run',
    "could not open C:\\Users\\alice\\sd15.safetensors",
    "no answer from http://gpu-7.internal:9000/weights",
  ])("NODE_FAILED without what the node said of its host: %j", async (message) => {
    await using stage = await openStage({ env: patient });
    order(stage.engine, [{ type: "fail_node", message }]);
    const { failure } = await draw(stage.client, spec);
    expect(failure).toMatchObject({ code: "FailedPrecondition", reason: "NODE_FAILED" });
    expect(failure?.nodes).toMatchObject([{ nodeId: "3", classType: "KSampler", errorType: "ValueError" }]);
    expectNoLeak(failure?.everything ?? "");
    expect(failure?.everything).not.toMatch(/alice|gpu-7|sd15\.safetensors/);
  });
});

describe.concurrent("what a call leaves behind at the backend", () => {
  it("is nothing, when only a part of its workflow was taken", async () => {
    await using stage = await openStage({ env: patient, engine: { stepMs: 50 } });
    order(stage.engine, [{ type: "partial_validity" }]);
    const { failure } = await draw(stage.client, longSpec);
    expect(failure).toMatchObject({ reason: "WORKFLOW_REJECTED" });
    expect(await queueOf(stage.engine.url)).toEqual({ running: [], pending: [] });
  });

  it("is cancelled as soon as the backend can be reached again", async () => {
    await using stage = await openStage({ env: hasty, engine: { stepMs: 50 } });
    order(stage.engine, [
      { type: "drop_socket", ...atSampler },
      { type: "refuse", ...atSampler, forMs: 60_000 },
    ]);
    // With 150 steps it would run on for several seconds after the call has failed.
    expect((await draw(stage.client, longSpec)).failure).toMatchObject({ reason: "NO_BACKEND" });
    await clearFaults(stage.engine);
    await waitUntil(async () => (await queueOf(stage.engine.url)).running.length === 0, "it was cancelled");
    expect(stage.runs.steps(stage.runs.begun[0] ?? "")).toBeLessThan(150);
  });
});

describe.concurrent("a submitted job, for which no call waits, whose backend is out of reach for too long", () => {
  const away: readonly FaultOrder[] = [
    { type: "drop_socket", ...atSampler },
    { type: "refuse", ...atSampler, forMs: 60_000 },
  ];

  it("waits for it, and has its image by the run that it had", async () => {
    await using stage = await openStage({ env: hasty });
    using caller = connectJobs(stage.url);
    order(stage.engine, away);
    const { job } = await caller.jobs.submitJob({ spec });
    const watch = watchJob(caller, job?.jobId ?? "");
    await watch.reached("queued", ({ event }) => event.case === "queued" && event.value.attempt === 2);
    expect(await getJob(caller, job?.jobId ?? "")).toMatchObject({ state: JobState.QUEUED, images: [] });
    await clearFaults(stage.engine);
    lastingNumbers(await watch.ended);
    expect(await getJob(caller, job?.jobId ?? "")).toMatchObject({ state: JobState.SUCCEEDED });
    expect(stage.runs.begun).toHaveLength(1);
    expect(stage.runs.steps(stage.runs.begun[0] ?? "")).toBe(steps);
  });

  it("can be cancelled at once, and is stopped there as soon as it can be reached", async () => {
    await using stage = await openStage({ env: hasty, engine: { stepMs: 50 } });
    using caller = connectJobs(stage.url);
    order(stage.engine, away);
    const { job } = await caller.jobs.submitJob({ spec: longSpec });
    await untilBackend(stage.client, "DOWN");
    await untilJobs(stage.url, { queued: 1 });
    const cancelled = await caller.jobs.cancelJob({ jobId: job?.jobId ?? "" });
    expect(cancelled).toMatchObject({ foundState: JobState.QUEUED, job: { state: JobState.CANCELLED } });
    await clearFaults(stage.engine);
    await waitUntil(async () => (await queueOf(stage.engine.url)).running.length === 0, "it was stopped");
    expect(stage.runs.steps(stage.runs.begun[0] ?? "")).toBeLessThan(150);
  });
});

describe.concurrent("a prompt of somebody else on the same backend runs once and to its end while", () => {
  const foreignSteps = 30;

  it("ours, behind it, is cancelled", async () => {
    await using stage = await openStage({ env: patient, engine: { stepMs: 20 } });
    const foreign = await submitForeignPrompt(stage.engine.url, foreignSteps);
    const cancel = new AbortController();
    const ours = draw(stage.client, spec, { cancel: cancel.signal });
    await waitUntil(async () => (await queueOf(stage.engine.url)).pending.length === 1, "ours waits there");
    cancel.abort();
    expect((await ours).failure).toMatchObject({ code: "Canceled" });
    expect(await foreign.ended()).toBe("success");
    expect(stage.runs.begun).toEqual([foreign.id]);
    expect(stage.runs.steps(foreign.id)).toBe(foreignSteps);
  });

  it.each<[string, readonly FaultOrder[], Readonly<Record<string, string>>]>([
    ["ours, before it, is cancelled", [], patient],
    ["ours, before it, fails", [{ type: "fail_node", classType: "KSampler", step: 10 }], patient],
    ["ours, before it, is interrupted and run again", [{ type: "interrupt", ...at(10) }], patient],
    ["ours, before it, runs out of memory and is run again", [{ type: "out_of_memory", ...at(10) }], patient],
    ["ours, before it, stalls", [{ type: "stall", ...at(10) }], hasty],
    ["ours, before it, is deaf and then cancelled", [{ type: "drop_socket", ...at(5) }], patient],
  ])("%s", async (_, faults, env) => {
    await using stage = await openStage({ env, engine: { stepMs: 20 } });
    order(stage.engine, faults);
    const cancel = new AbortController();
    const foreign = Promise.withResolvers<Awaited<ReturnType<typeof submitForeignPrompt>>>();
    const ours = draw(
      stage.client,
      { ...spec, steps: 40 },
      {
        cancel: cancel.signal,
        onEvent: ({ event }) => {
          if (event.case === "started" && event.value.attempt === 1) {
            submitForeignPrompt(stage.engine.url, foreignSteps).then(foreign.resolve, foreign.reject);
          }
        },
      },
    );
    const stranger = await foreign.promise;
    const fault = faults[0]?.type;
    if (fault === undefined || fault === "drop_socket") {
      await waitUntil(() => stage.runs.steps(stage.runs.begun[0] ?? "") >= 10, "ours is under way");
      cancel.abort();
    } else if (fault === "stall") {
      await untilBackend(stage.client, "DOWN");
      await clearFaults(stage.engine);
    }
    const { failure } = await ours;
    expect(failure?.reason).toBe(
      failure && { fail_node: "NODE_FAILED", stall: "BACKEND_STALLED" }[String(fault)],
    );
    expect(await stranger.ended()).toBe("success");
    expect(stage.runs.begun.filter((id) => id === stranger.id)).toHaveLength(1);
    expect(stage.runs.steps(stranger.id)).toBe(foreignSteps);
    await waitUntil(async () => (await queueOf(stage.engine.url)).running.length === 0, "nothing runs");
  });

  it("our service is stopped", async () => {
    const stage = await openStage({ env: patient, engine: { stepMs: 20 } });
    await using engine = stage.engine;
    const foreign = Promise.withResolvers<Awaited<ReturnType<typeof submitForeignPrompt>>>();
    const ours = draw(stage.client, longSpec, {
      onEvent: ({ event }) => {
        if (event.case === "started") {
          submitForeignPrompt(engine.url, foreignSteps).then(foreign.resolve, foreign.reject);
        }
      },
    });
    const stranger = await foreign.promise;
    await stage.service[Symbol.asyncDispose]();
    expect((await ours).failure).toMatchObject({ code: "Unavailable" });
    expect(await stranger.ended()).toBe("success");
    expect(stage.runs.steps(stranger.id)).toBe(foreignSteps);
    stage.client[Symbol.dispose]();
  });
});

/** The service, its engine, a caller, and what the engine was seen to run. */
interface Stage extends ServiceFixture {
  readonly client: ImageClient;
  readonly runs: ReturnType<typeof watchRuns>;
}

async function openStage({ engine, env }: ServiceFixtureOptions = {}): Promise<Stage> {
  const fixture = await startServiceFixture({ engine: { stepMs: 5, ...engine }, env: { ...env } });
  const client = connectImages(fixture.url);
  return {
    ...fixture,
    client,
    runs: watchRuns(fixture.engine),
    async [Symbol.asyncDispose]() {
      client[Symbol.dispose]();
      await fixture[Symbol.asyncDispose]();
    },
  };
}

function at(step: number) {
  return { classType: "KSampler", step } as const;
}

function order({ faults }: DemoEngine, orders: readonly FaultOrder[]): void {
  for (const fault of orders) {
    faults.order(fault);
  }
}

/** Drops every fault, and lets requests in again. */
async function clearFaults({ url }: DemoEngine): Promise<void> {
  await fetch(`${url}/demo/faults`, { method: "DELETE" });
}

/** Expects success with the very picture that the spec means, after `attempts`. */
async function expectPicture(outcome: Outcome, { attempts }: { readonly attempts: number }): Promise<void> {
  expect(outcome.failure).toBeUndefined();
  expect(outcome.result).toMatchObject({
    attemptCount: attempts,
    images: [{ widthPx: 64, heightPx: 64, seed: 7n }],
  });
  expect(outcome.images).toHaveLength(1);
  expect(await pixelsOf(outcome.images[0])).toBe(expectedPixels);
}

/** Expects that, with the faults gone, the backend is `state` by itself, and that it draws the next picture at once. */
async function expectGoodAgain({ engine, client }: Stage, state: "UP" | "DEGRADED" = "UP"): Promise<void> {
  await clearFaults(engine);
  await untilBackend(client, state);
  await expectPicture(await draw(client, spec), { attempts: 1 });
  await untilBackend(client, "UP");
  expect(await queueOf(engine.url)).toEqual({ running: [], pending: [] });
}

async function pixelsOf(png: Uint8Array | undefined): Promise<string> {
  return hash("sha256", await sharp(png).raw().toBuffer());
}
