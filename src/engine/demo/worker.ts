import { setImmediate as nextTurn } from "node:timers/promises";
import type { Logger } from "../../telemetry/logger.ts";
import { PromptEvents } from "./events.ts";
import { clientIdOf, type Executor } from "./execute.ts";
import type { FaultPlan } from "./faults.ts";
import { inputsOf } from "./graph.ts";
import type { History, PromptOutcome } from "./history.ts";
import type { Json, JsonObject } from "./json.ts";
import type { PromptQueue, QueuedPrompt } from "./queue.ts";
import type { SocketHub } from "./sockets.ts";

/** What the worker works with. */
export interface WorkerOptions {
  readonly queue: PromptQueue;
  readonly history: History;
  readonly executor: Executor;
  readonly sockets: SocketHub;
  readonly faults: FaultPlan;
  readonly logger: Logger;
}

/** What `POST /free` asks for. */
export interface FreeRequest {
  readonly unloadModels: boolean;
  readonly freeMemory: boolean;
}

/** Runs the prompts of the queue one after another. Disposing of it abandons the one that runs. */
export class Worker implements AsyncDisposable {
  readonly #options: WorkerOptions;
  readonly #lateRecords = new Set<NodeJS.Timeout>();
  #free: FreeRequest = { unloadModels: false, freeMemory: false };
  #run = new AbortController();
  #loop: Promise<void> = Promise.resolve();
  #busy = false;
  #disposed = false;

  constructor(options: WorkerOptions) {
    this.#options = options;
  }

  /** Starts on the queue, unless that is under way. To be called when something has been queued. */
  wake(): void {
    if (!this.#busy && !this.#disposed) {
      this.#busy = true;
      this.#loop = this.#work();
    }
  }

  /** Frees memory once the running prompt has ended; at once if there is none. */
  free(request: FreeRequest): void {
    this.#free = {
      unloadModels: this.#free.unloadModels || request.unloadModels,
      freeMemory: this.#free.freeMemory || request.freeMemory,
    };
    if (!this.#busy) {
      this.#applyFree();
    }
  }

  /** Leaves the running prompt where it is, as the end of a process does: nothing more is told of it. */
  abandon(): void {
    this.#run.abort(new Error("the engine has been restarted"));
    this.#run = new AbortController();
    for (const timer of this.#lateRecords) {
      clearTimeout(timer);
    }
    this.#lateRecords.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    this.abandon();
    await this.#loop;
  }

  async #work(): Promise<void> {
    // The answer to the submission leaves before the work starts.
    await nextTurn();
    for (;;) {
      this.#applyFree();
      const prompt = this.#disposed ? undefined : this.#options.queue.take();
      if (!prompt) {
        break;
      }
      await this.#process(prompt, this.#run.signal);
    }
    this.#busy = false;
  }

  async #process(prompt: QueuedPrompt, signal: AbortSignal): Promise<void> {
    const { sockets, executor, queue, history, faults, logger } = this.#options;
    const { promptId, graph } = prompt;
    const events = new PromptEvents(sockets, promptId, clientIdOf(prompt.extraData));
    logger.debug({ promptId, filePrefixes: filePrefixesOf(graph) }, "prompt begun");
    let outcome: PromptOutcome;
    try {
      outcome = await executor.run(prompt, events, signal);
    } catch (error) {
      if (signal.aborted) {
        return;
      }
      // ComfyUI's worker thread dies of such an error; ours must not, but nothing good can be said of the prompt.
      logger.error({ err: error }, "a prompt could not be run");
      outcome = {
        status: { status_str: "error", completed: false, messages: events.messages },
        outputs: {},
        meta: {},
      };
    }
    logger.debug({ promptId, status: outcome.status.status_str }, "prompt ended");
    // As with ComfyUI, whoever asks at the terminal event may find no record yet.
    await nextTurn();
    if (signal.aborted) {
      return;
    }
    const finish = () => queue.finish(prompt, () => history.add(prompt, outcome));
    const late = faults.take("late_history", prompt.promptId);
    if (late) {
      queue.holdBack(prompt);
      this.#later(late.delayMs, finish);
    } else {
      finish();
    }
    events.over();
  }

  #later(delayMs: number, action: () => void): void {
    const timer = setTimeout(() => {
      this.#lateRecords.delete(timer);
      action();
    }, delayMs);
    this.#lateRecords.add(timer);
  }

  #applyFree(): void {
    const { unloadModels, freeMemory } = this.#free;
    if (!unloadModels && !freeMemory) {
      return;
    }
    this.#free = { unloadModels: false, freeMemory: false };
    this.#options.executor.unloadModels();
    if (freeMemory) {
      this.#options.executor.dropCache();
    }
    this.#options.faults.memoryFreed();
  }
}

/** What the names of the files that a prompt saves begin with: whose prompt it is, in a log. */
function filePrefixesOf(graph: JsonObject): Json[] {
  return Object.keys(graph).flatMap((nodeId) => inputsOf(graph, nodeId).filename_prefix ?? []);
}
