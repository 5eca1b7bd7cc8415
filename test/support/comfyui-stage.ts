import { randomUUID } from "node:crypto";
import { buffer } from "node:stream/consumers";
import { expect } from "vitest";
import { type ErrorReason, isServiceError } from "../../src/domain/errors.ts";
import type { GraphNode, GraphValue, WorkflowGraph } from "../../src/domain/graph.ts";
import { createComfyUiEngine } from "../../src/engine/comfyui/comfyui-engine.ts";
import type { ComfyUiEngineOptions } from "../../src/engine/comfyui/options.ts";
import { type DemoEngine, startDemoEngine } from "../../src/engine/demo/demo-engine.ts";
import type { FaultOrder } from "../../src/engine/demo/faults.ts";
import type { Engine, EngineState, OutputFile, RunEvent, RunRequest } from "../../src/engine/engine.ts";
import { createLogger } from "../../src/telemetry/logger.ts";

const logger = createLogger({ level: "silent" });

/** Bounds that are small enough for a test, and large enough for a busy machine. */
const smallBounds = {
  pollIntervalMs: 50,
  healthIntervalMs: 50,
  lostAfterMs: 1_000,
  cancelTimeoutMs: 1_000,
  pendingSilenceMs: 1_000,
  loadingSilenceMs: 10_000,
  stepSilenceMs: 1_000,
};

/** The built-in engine, and the adapter in front of it. */
export interface Stage extends AsyncDisposable {
  readonly demo: DemoEngine;
  readonly engine: Engine;
}

export async function openStage(
  { stepMs = 5, ...options }: Partial<ComfyUiEngineOptions> & { stepMs?: number } = {},
  faults: readonly FaultOrder[] = [],
): Promise<Stage> {
  await using stack = new AsyncDisposableStack();
  const demo = stack.use(await startDemoEngine({ stepMs, loadMs: 0, logger }));
  const engine = stack.use(connect(demo.url, options));
  await reach(engine, "up");
  for (const fault of faults) {
    demo.faults.order(fault);
  }
  const owned = stack.move();
  return { demo, engine, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Puts an adapter in front of a server. */
export function connect(baseUrl: string, options: Partial<ComfyUiEngineOptions> = {}): Engine {
  return createComfyUiEngine(
    { name: "test", baseUrl, ...smallBounds, ...options },
    { logger, random: Math.random },
  );
}

/** Waits until `engine` is in a state. */
export async function reach(engine: Engine, state: EngineState): Promise<void> {
  for await (const health of engine.watchHealth(AbortSignal.timeout(15_000))) {
    if (health.state === state) {
      return;
    }
  }
  throw new Error(`the engine did not become ${state}: ${JSON.stringify(engine.health())}`);
}

export function node(class_type: string, inputs: Record<string, GraphValue>): GraphNode {
  return { class_type, inputs };
}

export interface Wish {
  readonly seed?: bigint;
  readonly steps?: number;
  readonly prefix?: string;
}

export function textToImage({ seed = 1n, steps = 4, prefix = randomUUID() }: Wish = {}): WorkflowGraph {
  return {
    "3": node("KSampler", {
      model: ["4", 0],
      positive: ["6", 0],
      negative: ["7", 0],
      latent_image: ["5", 0],
      seed,
      steps,
      cfg: 7,
      sampler_name: "euler",
      scheduler: "normal",
      denoise: 1,
    }),
    "4": node("CheckpointLoaderSimple", { ckpt_name: "demo-sd15.safetensors" }),
    "5": node("EmptyLatentImage", { width: 64, height: 64, batch_size: 1 }),
    "6": node("CLIPTextEncode", { text: "a red fox", clip: ["4", 1] }),
    "7": node("CLIPTextEncode", { text: "", clip: ["4", 1] }),
    "8": node("VAEDecode", { samples: ["3", 0], vae: ["4", 2] }),
    "9": node("SaveImage", { images: ["8", 0], filename_prefix: prefix }),
  };
}

export interface Outcome {
  readonly events: readonly RunEvent[];
  /** Why it failed; `undefined` if it did not. */
  readonly reason: ErrorReason | undefined;
  readonly files: readonly OutputFile[];
}

/** What to run: by default a new prompt that makes one small picture. */
export interface Run extends Partial<RunRequest> {
  readonly cancel?: AbortSignal;
  readonly leave?: AbortSignal;
  readonly onEvent?: (event: RunEvent) => void;
}

/** Runs a prompt to whichever end. */
export async function run(engine: Engine, given: Run = {}): Promise<Outcome> {
  const { cancel = AbortSignal.timeout(20_000), leave = never, onEvent, ...rest } = given;
  const request = {
    promptId: randomUUID(),
    graph: textToImage(),
    inputs: [],
    previews: true,
    resume: false,
    ...rest,
  };
  const events: RunEvent[] = [];
  let reason: ErrorReason | undefined;
  try {
    for await (const event of engine.run(request, { cancel, leave })) {
      events.push(event);
      onEvent?.(event);
    }
  } catch (error) {
    if (!isServiceError(error)) {
      throw error;
    }
    reason = error.reason;
  }
  const last = events.at(-1);
  const outputs = last?.type === "finished" ? last.outputs : [];
  return { events, reason, files: outputs.flatMap((output) => (output.kind === "file" ? output.file : [])) };
}

/** Signals of a run that is left to itself, for five seconds. */
export function untroubled(): { readonly cancel: AbortSignal; readonly leave: AbortSignal } {
  return { cancel: AbortSignal.timeout(5_000), leave: never };
}

const never = new AbortController().signal;

/** Runs a prompt that is to end well. */
export async function finish(engine: Engine, given: Run = {}): Promise<Outcome> {
  const outcome = await run(engine, given);
  expect(outcome.reason).toBeUndefined();
  expect(outcome.files).toHaveLength(1);
  return outcome;
}

export async function fetchFile(engine: Engine, file: OutputFile | undefined): Promise<Buffer> {
  if (file === undefined) {
    throw new Error("there is no file to fetch");
  }
  return await buffer((await engine.openOutput(file, AbortSignal.timeout(10_000))).body);
}

export const pngSignature = Buffer.of(0x89, 0x50, 0x4e, 0x47);
