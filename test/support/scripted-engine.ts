import { once } from "node:events";
import { ServiceError } from "../../src/domain/errors.ts";
import type { WorkflowGraph } from "../../src/domain/graph.ts";
import { modelNames } from "../../src/domain/model-kind.ts";
import type { NodeClasses } from "../../src/domain/node-class.ts";
import type {
  Catalog,
  Engine,
  EngineHealth,
  EngineState,
  Output,
  OutputFile,
  OutputStream,
  RunEvent,
  RunRequest,
  RunSignals,
} from "../../src/engine/engine.ts";

/** What one run of the scripted engine does. */
export type RunScript = (request: RunRequest, signals: RunSignals) => AsyncIterable<RunEvent>;

/**
 * An engine whose runs do what the test says, for what no server can be made to do on demand. Runs beyond the scripts
 * given succeed at once, unless told otherwise.
 */
export class ScriptedEngine implements Engine {
  name = "scripted";
  readonly requests: RunRequest[] = [];
  readonly forgotten: string[] = [];
  readonly abandoned: string[] = [];
  memoryFreedCount = 0;
  /** What it lists. */
  has: Catalog = {
    models: { ...modelNames(() => []), checkpoint: ["m"] },
    samplers: ["euler"],
    schedulers: ["normal"],
  };
  /** Node classes that it describes. */
  classes: NodeClasses = new Map();
  /** Outputs are there when this has resolved. */
  outputsReady: Promise<void> = Promise.resolve();
  /** The bytes of each output. */
  contentOf: (file: OutputFile) => Uint8Array = () => onePixelPng;
  /** What runs beyond the scripts given do. */
  otherwise: RunScript = succeed;
  readonly #scripts: RunScript[];
  readonly #changes = new EventTarget();
  #state: EngineState = "up";

  constructor(...scripts: RunScript[]) {
    this.#scripts = scripts;
  }

  setState(state: EngineState): void {
    this.#state = state;
    this.#changes.dispatchEvent(new Event("change"));
  }

  health(): EngineHealth {
    return {
      state: this.#state,
      reason: "",
      since: new Date(0),
      version: "1.2.3",
      builtIn: true,
      queueDepth: 0,
    };
  }

  async *watchHealth(signal: AbortSignal): AsyncGenerator<EngineHealth> {
    while (!signal.aborted) {
      yield this.health();
      await once(this.#changes, "change", { signal }).catch((error: unknown) => {
        if (!signal.aborted) {
          throw error;
        }
      });
    }
  }

  async catalog(): Promise<Catalog> {
    return this.has;
  }

  async nodeClasses(): Promise<NodeClasses> {
    return this.classes;
  }

  async nativeSize(): Promise<undefined> {
    return undefined;
  }

  run(request: RunRequest, signals: RunSignals): AsyncIterable<RunEvent> {
    this.requests.push(request);
    return (this.#scripts.shift() ?? this.otherwise)(request, signals);
  }

  abandon(promptId: string): void {
    this.abandoned.push(promptId);
  }

  async openOutput(file: OutputFile, _signal: AbortSignal): Promise<OutputStream> {
    await this.outputsReady;
    const content = this.contentOf(file);
    return { mediaType: "image/png", sizeBytes: content.length, body: piece(content) };
  }

  async freeMemory(): Promise<void> {
    this.memoryFreedCount++;
  }

  forget(promptId: string): void {
    this.forgotten.push(promptId);
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

/** A run that goes well. */
export async function* succeed(request: RunRequest): AsyncGenerator<RunEvent> {
  yield { type: "submitted" };
  yield { type: "started", cachedNodeIds: [] };
  yield { type: "finished", outputs: outputsOf(request.graph) };
}

/** What a graph leaves behind when all goes well. */
export function outputsOf(graph: WorkflowGraph): Output[] {
  return Object.entries(graph).flatMap(([nodeId, { class_type, inputs }]) =>
    class_type === "SaveImage" ? [outputOf(nodeId, `${inputs.filename_prefix}`)] : [],
  );
}

function outputOf(nodeId: string, name: string): Output {
  const file = { filename: `${name}.png`, subfolder: "", type: "output" } as const;
  return { kind: "file", nodeId, key: "images", file };
}

/** A run that starts and fails with `error`. */
export function failWith(error: ServiceError): RunScript {
  return async function* () {
    yield { type: "submitted" };
    yield { type: "started", cachedNodeIds: [] };
    throw error;
  };
}

/** A run that starts and goes on until it is cancelled or left. Tells `onStart` when it is under way. */
export function runUntilStopped(onStart: () => void = () => {}): RunScript {
  return async function* (_request, { cancel, leave }) {
    yield { type: "submitted" };
    yield { type: "started", cachedNodeIds: [] };
    onStart();
    const either = AbortSignal.any([cancel, leave]);
    if (!either.aborted) {
      await once(either, "abort");
    }
    throw leave.aborted
      ? new ServiceError("PROMPT_LEFT", "left")
      : new ServiceError("CANCELLED_BY_CALLER", "stopped");
  };
}

/** The smallest picture. */
export const onePixelPng = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
  "base64",
);

async function* piece(data: Uint8Array): AsyncGenerator<Uint8Array> {
  yield data;
}
