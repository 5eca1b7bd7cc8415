import { once } from "node:events";
import { ServiceError } from "../../src/domain/errors.ts";
import type {
  Catalog,
  Engine,
  EngineHealth,
  EngineState,
  OutputFile,
  OutputStream,
  RunEvent,
  RunRequest,
} from "../../src/engine/engine.ts";

/** What one run of the scripted engine does. */
export type RunScript = (request: RunRequest, signal: AbortSignal) => AsyncIterable<RunEvent>;

/**
 * An engine whose runs do what the test says, for what no server can be made to do on demand. Runs beyond the scripts
 * given succeed at once.
 */
export class ScriptedEngine implements Engine {
  readonly name = "scripted";
  readonly requests: RunRequest[] = [];
  readonly forgotten: string[] = [];
  memoryFreedCount = 0;
  /** Outputs are there when this has resolved. */
  outputsReady: Promise<void> = Promise.resolve();
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
    return { checkpoints: ["m"], loras: [], vaes: [], samplers: ["euler"], schedulers: ["normal"] };
  }

  async nativeSize(): Promise<undefined> {
    return undefined;
  }

  run(request: RunRequest, signal: AbortSignal): AsyncIterable<RunEvent> {
    this.requests.push(request);
    return (this.#scripts.shift() ?? succeed)(request, signal);
  }

  async openOutput(_file: OutputFile, _signal: AbortSignal): Promise<OutputStream> {
    await this.outputsReady;
    return { mediaType: "image/png", sizeBytes: onePixelPng.length, body: piece(onePixelPng) };
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
  const saveNodes = Object.entries(request.graph).filter(([, { class_type }]) => class_type === "SaveImage");
  yield {
    type: "finished",
    outputs: saveNodes.map(([nodeId]) => ({
      kind: "file",
      nodeId,
      key: "images",
      file: { filename: `${nodeId}.png`, subfolder: "", type: "output" },
    })),
  };
}

/** A run that starts and fails with `error`. */
export function failWith(error: ServiceError): RunScript {
  return async function* () {
    yield { type: "submitted" };
    yield { type: "started", cachedNodeIds: [] };
    throw error;
  };
}

/** A run that starts and goes on until it is told to stop. Tells `onStart` when it is under way. */
export function runUntilStopped(onStart: () => void = () => {}): RunScript {
  return async function* (_request, signal) {
    yield { type: "submitted" };
    yield { type: "started", cachedNodeIds: [] };
    onStart();
    if (!signal.aborted) {
      await once(signal, "abort");
    }
    throw new ServiceError("CANCELLED_BY_CALLER", "stopped");
  };
}

const onePixelPng = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
  "base64",
);

async function* piece(data: Uint8Array): AsyncGenerator<Uint8Array> {
  yield data;
}
