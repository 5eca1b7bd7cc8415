import { once } from "node:events";
import { type ErrorReason, isServiceError, type ServiceError } from "../../../domain/errors.ts";
import { createLogger } from "../../../telemetry/logger.ts";
import type { Output, RunEvent, RunRequest } from "../../engine.ts";
import { PromptFinder } from "../look-up.ts";
import type { PromptMessage } from "../messages.ts";
import { type ComfyUiEngineOptions, resolveOptions } from "../options.ts";
import { PromptRun } from "../prompt-run.ts";
import type { PromptListener, Registration } from "../socket.ts";
import { ScriptedClient } from "./scripted-client.ts";

export const promptId = "85fcbf19-df22-4369-b2ed-f62ef5031d0d";
export const graph = { "9": { class_type: "SaveImage", inputs: { seed: 2n ** 64n - 1n } } };
export const image: Output = {
  kind: "file",
  nodeId: "9",
  key: "images",
  file: { filename: "a.png", subfolder: "", type: "output" },
};

/** Record of a prompt that ended well and left {@link image}. */
export const success = { end: { type: "success" }, cachedNodeIds: ["4"], outputs: [image] } as const;

/** What the socket says of a prompt that goes well. */
export const story: readonly PromptMessage[] = [
  { type: "execution_start", promptId },
  { type: "execution_cached", promptId, nodeIds: ["4"] },
  { type: "progress_state", promptId, finishedNodeIds: [], steps: [] },
  { type: "executing", promptId, nodeId: "9", innerNodeId: "9" },
  { type: "executed", promptId, outputs: [image] },
  { type: "progress_state", promptId, finishedNodeIds: ["9"], steps: [] },
  { type: "execution_success", promptId },
];
/** The events that come of {@link story}. */
export const storyTypes = ["submitted", "started", "nodeStarted", "output", "nodeFinished", "finished"];

/** A socket that says what the test lets it say. */
export class ScriptedSocket {
  listener: PromptListener | undefined;
  live = true;
  /** Of any kind, also about other prompts. */
  frameCount = 1;
  replaced = 0;
  registrations = 0;
  /** What a prompt waits for before it is submitted. */
  settled: (signal: AbortSignal) => Promise<void> = async () => {};

  register(_promptId: string, listener: PromptListener): Registration {
    this.listener = listener;
    const socket = this;
    socket.registrations++;
    return {
      clientId: `client-${socket.registrations}`,
      get live() {
        return socket.live;
      },
      get frameCount() {
        return socket.frameCount;
      },
      replaceSession: () => {
        socket.replaced++;
      },
      [Symbol.dispose]: () => {
        socket.listener = undefined;
      },
    };
  }

  say(...messages: readonly PromptMessage[]): void {
    for (const message of messages) {
      this.frameCount++;
      this.listener?.onMessage(message);
    }
  }

  /** The server has no socket for us at all. */
  drop(): void {
    this.live = false;
    this.listener?.onDeaf();
  }
}

/** Prepares the run of a prompt against a server and a socket that do what the test says. */
export function setUp(options: Partial<ComfyUiEngineOptions> = {}, given: Partial<RunRequest> = {}) {
  const client = new ScriptedClient();
  const socket = new ScriptedSocket();
  const stop = new AbortController();
  const leave = new AbortController();
  const told: { abandoned: string[]; stalled: number } = { abandoned: [], stalled: 0 };
  const run = new PromptRun(
    { promptId, graph, inputs: [], previews: true, resume: false, ...given },
    {
      client,
      finder: new PromptFinder(client),
      cancelRoutes: { hasJobsRoute: undefined, interruptReadsId: true },
      socket,
      settings: resolveOptions({ name: "test", baseUrl: "http://unused", pollIntervalMs: 5, ...options }),
      logger: createLogger({ level: "silent" }),
      lifetime: AbortSignal.timeout(20_000),
      running: new Set(),
      onSign: () => {},
      onReachChange: () => {},
      onStalled: () => {
        told.stalled++;
      },
      onAbandoned: (id) => told.abandoned.push(id),
    },
  );
  const events = () => run.events({ cancel: stop.signal, leave: leave.signal });
  return { client, socket, stop, leave, told, run: { events } };
}

export interface Outcome {
  readonly events: readonly RunEvent[];
  /** Why the run failed; `undefined` if it did not. */
  readonly reason: ErrorReason | undefined;
  readonly error: ServiceError | undefined;
}

/** Runs to the end; `onEvent` sees each event as it comes. */
export async function follow(
  run: { events(): AsyncIterable<RunEvent> },
  onEvent: (event: RunEvent) => void = () => {},
): Promise<Outcome> {
  const events: RunEvent[] = [];
  try {
    for await (const event of run.events()) {
      events.push(event);
      onEvent(event);
    }
    return { events, reason: undefined, error: undefined };
  } catch (error) {
    if (!isServiceError(error)) {
      throw error;
    }
    return { events, reason: error.reason, error };
  }
}

export function types({ events }: Outcome): readonly string[] {
  return events.map(({ type }) => type);
}

/** A request that ends only with its signal. */
export async function unanswered(_promptId?: string, signal?: AbortSignal): Promise<never> {
  if (signal?.aborted === false) {
    await once(signal, "abort");
  }
  throw signal?.reason;
}
