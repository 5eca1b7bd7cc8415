import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "../../telemetry/logger.ts";
import type { NodeCache, NodeOutput } from "./cache.ts";
import type { PromptEvents } from "./events.ts";
import type { RunPoint } from "./faults.ts";
import { classOf, inputsOf, linkOf } from "./graph.ts";
import type { PromptOutcome } from "./history.ts";
import { isJsonObject, type Json, type JsonObject, stringifyJson } from "./json.ts";
import {
  Interrupted,
  inputsOfClass,
  type NodeContext,
  type NodeDefinition,
  NodeInputs,
  type Surroundings,
} from "./nodes/node.ts";
import type { Value } from "./nodes/value.ts";
import { ExecutionOrder } from "./order.ts";
import { PythonError } from "./python.ts";
import type { QueuedPrompt } from "./queue.ts";
import { signaturesOf } from "./signature.ts";
import { tracebackOf } from "./validate.ts";

/** What runs of prompts need and how long they take. */
export interface ExecutorOptions extends Surroundings {
  readonly classes: ReadonlyMap<string, NodeDefinition>;
  readonly cache: NodeCache;
  /** Carries out a fault that strikes at `point`; may throw as a node does. */
  readonly strike: (point: RunPoint, clientId: string | undefined, signal: AbortSignal) => Promise<void>;
  /** Duration of a sampling step in milliseconds; 0: as fast as it goes. */
  readonly stepMs: number;
  /** Duration of loading a checkpoint that is not in memory, in milliseconds. */
  readonly loadMs: number;
  /** How previews are made unless a prompt says otherwise; `none`: not at all. */
  readonly previewMethod: string;
  readonly logger: Logger;
}

/** Whether the running prompt is to end. Set from outside, noticed before each node and at each step. */
export interface InterruptFlag {
  raised: boolean;
}

/** The node that runs, and the client whose prompt it belongs to. */
export interface CurrentNode {
  readonly clientId: string | undefined;
  readonly nodeId: string;
}

/** Runs prompts, one at a time, on results of earlier ones where it can. */
export class Executor {
  readonly #options: ExecutorOptions;
  readonly #loaded = new Set<string>();
  readonly interrupt: InterruptFlag = { raised: false };
  #current: CurrentNode | undefined;

  constructor(options: ExecutorOptions) {
    this.#options = options;
  }

  /**
   * Runs a prompt, tells `events` what happens, and returns the record. Failure and interruption are outcomes.
   *
   * @throws what `signal` was aborted with; then nothing more is told
   */
  async run(prompt: QueuedPrompt, events: PromptEvents, signal: AbortSignal): Promise<PromptOutcome> {
    this.interrupt.raised = false;
    const clientId = clientIdOf(prompt.extraData);
    const onNode = (nodeId: string) => {
      this.#current = { clientId, nodeId };
    };
    const run = new PromptRun(this.#options, this.interrupt, this.#loaded, {
      prompt,
      events,
      signal,
      onNode,
    });
    const success = await run.toEnd().finally(() => {
      this.#current = undefined;
    });
    const { outputs, meta } = run;
    return {
      status: {
        status_str: success ? "success" : "error",
        completed: success,
        messages: [...events.messages],
      },
      outputs,
      meta,
    };
  }

  get current(): CurrentNode | undefined {
    return this.#current;
  }

  /** Forgets which checkpoints are in memory. */
  unloadModels(): void {
    this.#loaded.clear();
  }

  /** Drops the results of nodes. */
  dropCache(): void {
    this.#options.cache.clear();
  }
}

interface RunDetails {
  readonly prompt: QueuedPrompt;
  readonly events: PromptEvents;
  readonly signal: AbortSignal;
  /** Called when a node starts. */
  readonly onNode: (nodeId: string) => void;
}

/** One run of one prompt. */
class PromptRun {
  readonly #options: ExecutorOptions;
  readonly #interrupt: InterruptFlag;
  readonly #loaded: Set<string>;
  readonly #prompt: QueuedPrompt;
  readonly #events: PromptEvents;
  readonly #signal: AbortSignal;
  readonly #onNode: (nodeId: string) => void;
  readonly #clientId: string | undefined;
  readonly #previews: boolean;
  readonly #executed: string[] = [];
  /** Results that this run uses, by node id. */
  readonly #results = new Map<string, NodeOutput>();
  #signatures: ReadonlyMap<string, string> = new Map();
  #graphText: string | undefined;
  readonly outputs: Record<string, Json> = {};
  readonly meta: Record<string, Json> = {};

  constructor(
    options: ExecutorOptions,
    interrupt: InterruptFlag,
    loaded: Set<string>,
    { prompt, events, signal, onNode }: RunDetails,
  ) {
    this.#options = options;
    this.#interrupt = interrupt;
    this.#loaded = loaded;
    this.#prompt = prompt;
    this.#events = events;
    this.#signal = signal;
    this.#onNode = onNode;
    this.#clientId = clientIdOf(prompt.extraData);
    this.#previews = makesPreviews(prompt.extraData, options.previewMethod);
  }

  /** Whether the prompt ended well. */
  async toEnd(): Promise<boolean> {
    const { graph, targets } = this.#prompt;
    this.#events.started();
    await this.#lookUpCache();
    this.#events.cached([...this.#results.keys()]);
    await this.#strike({});
    const order = new ExecutionOrder(
      graph,
      targets,
      (id) => this.#results.has(id),
      (id) => this.#definitionOf(id)?.isOutput === true,
    );
    for (let id = order.next(); id !== undefined; id = order.next()) {
      if (!(await this.#runOrReuse(id))) {
        return false;
      }
      order.done(id);
    }
    this.#events.succeeded();
    return true;
  }

  async #lookUpCache(): Promise<void> {
    const { graph } = this.#prompt;
    const { cache } = this.#options;
    const ids = Object.keys(graph);
    const marks = new Map<string, string>();
    for (const id of ids) {
      const mark = await this.#markOf(id);
      if (mark !== undefined) {
        marks.set(id, mark);
      }
    }
    this.#signatures = signaturesOf(graph, marks);
    cache.keepOnly(this.#signatures.values());
    for (const id of ids) {
      const output = cache.get(this.#signatures.get(id));
      if (output) {
        this.#results.set(id, output);
      }
    }
  }

  async #markOf(id: string): Promise<string | undefined> {
    const markOf = this.#definitionOf(id)?.markOf;
    try {
      return await markOf?.(
        new NodeInputs(new Map(Object.entries(inputsOf(this.#prompt.graph, id)))),
        this.#options,
      );
    } catch (error) {
      // Such a node is not found in the cache; if it is needed, it fails when it runs, and says why.
      this.#options.logger.debug({ err: error }, "a node's sources cannot be read");
      return `unreadable ${this.#prompt.promptId}`;
    }
  }

  /** Runs a node, or takes its result from the cache. False if the prompt ends here. */
  async #runOrReuse(id: string): Promise<boolean> {
    const cached = this.#results.get(id) ?? this.#options.cache.get(this.#signatures.get(id));
    if (cached) {
      this.#results.set(id, cached);
      this.#show(id, cached.ui);
      this.#events.nodeShowed(id, cached.ui ?? null);
      this.#events.nodeFinished(id);
      return true;
    }
    const given = inputsOf(this.#prompt.graph, id);
    const inputs = new NodeInputs(this.#resolve(id), (name) => linkOf(given[name]) !== undefined);
    try {
      this.#onNode(id);
      this.#events.nodeStarted(id);
      await this.#runNode(id, inputs);
    } catch (error) {
      this.#signal.throwIfAborted();
      this.#reportEnd(id, inputs, error);
      return false;
    }
    this.#events.nodeFinished(id);
    this.#executed.push(id);
    return true;
  }

  async #runNode(id: string, inputs: NodeInputs): Promise<void> {
    const definition = this.#definitionOf(id);
    if (!definition) {
      throw new PythonError("KeyError", `'${classOf(this.#prompt.graph, id)}'`);
    }
    await this.#strike({ classType: definition.classType });
    this.#throwIfInterrupted();
    const result = definition.run(inputs, this.#contextOf(id, definition));
    const { values, ui } = result instanceof Promise ? await result : result;
    this.#signal.throwIfAborted();
    const output = { values, ui };
    this.#results.set(id, output);
    const signature = this.#signatures.get(id);
    if (signature !== undefined) {
      this.#options.cache.set(signature, output);
    }
    if (ui) {
      this.#show(id, ui);
      this.#events.nodeShowed(id, ui);
    }
  }

  /** Follows the links of a node's inputs. What its class does not know is left out. */
  #resolve(id: string): ReadonlyMap<string, Json | Value> {
    const inputs = inputsOf(this.#prompt.graph, id);
    const definition = this.#definitionOf(id);
    const resolved = new Map<string, Json | Value>();
    for (const name of Object.keys(definition ? inputsOfClass(definition) : {})) {
      const given = inputs[name];
      const link = linkOf(given);
      const value = link ? this.#results.get(link.nodeId)?.values.at(link.output) : given;
      if (value !== undefined) {
        resolved.set(name, value);
      }
    }
    return resolved;
  }

  #contextOf(id: string, { classType }: NodeDefinition): NodeContext {
    const { files, models, stepMs, loadMs } = this.#options;
    const extra = this.#prompt.extraData.extra_pnginfo;
    return {
      files,
      models,
      graphText: () => (this.#graphText ??= stringifyJson(this.#prompt.graph)),
      extraPngInfo: isJsonObject(extra) ? extra : {},
      load: async (checkpoint) => {
        if (!this.#loaded.has(checkpoint) && loadMs > 0) {
          await sleep(loadMs, undefined, { signal: this.#signal });
        }
        this.#loaded.add(checkpoint);
      },
      step: async (value, max, preview) => {
        await this.#strike({ classType, step: value });
        await (stepMs > 0 ? sleep(stepMs, undefined, { signal: this.#signal }) : nextTurn());
        this.#throwIfInterrupted();
        const jpeg = this.#previews && this.#events.wantsPreviews() ? await preview?.() : undefined;
        this.#events.nodeProgressed(id, value, max, jpeg);
      },
      draw: async (work) => {
        for (;;) {
          const step = work.next();
          if (step.done) {
            return step.value;
          }
          await nextTurn();
          this.#signal.throwIfAborted();
        }
      },
    };
  }

  /** Puts what an output node shows into the record. */
  #show(id: string, ui: JsonObject | undefined): void {
    if (ui) {
      this.outputs[id] = ui;
      this.meta[id] = { node_id: id, display_node: id, parent_node: null, real_node_id: id };
    }
  }

  #reportEnd(id: string, inputs: NodeInputs, error: unknown): void {
    const about = {
      node_id: id,
      node_type: classOf(this.#prompt.graph, id),
      executed: [...this.#executed],
    };
    if (error instanceof Interrupted) {
      this.#events.interrupted(about);
      return;
    }
    const { exceptionType, message } = this.#asPythonError(error);
    const isOutOfMemory = exceptionType.endsWith("OutOfMemoryError");
    if (isOutOfMemory) {
      this.#loaded.clear();
    }
    this.#events.failed({
      ...about,
      exception_message: `${message}\n${isOutOfMemory ? MEMORY_TIP : ""}`,
      exception_type: exceptionType,
      traceback: tracebackOf("execute"),
      current_inputs: inputs.describe(),
      current_outputs: [...this.#results.keys()],
    });
  }

  #asPythonError(error: unknown): PythonError {
    if (error instanceof PythonError) {
      return error;
    }
    this.#options.logger.error({ err: error }, "a node failed unexpectedly");
    return new PythonError("RuntimeError", error instanceof Error ? error.message : String(error));
  }

  async #strike(point: Omit<RunPoint, "promptId">): Promise<void> {
    await this.#options.strike({ promptId: this.#prompt.promptId, ...point }, this.#clientId, this.#signal);
    this.#signal.throwIfAborted();
  }

  #throwIfInterrupted(): void {
    if (this.#interrupt.raised) {
      this.#interrupt.raised = false;
      throw new Interrupted();
    }
  }

  #definitionOf(id: string): NodeDefinition | undefined {
    return this.#options.classes.get(classOf(this.#prompt.graph, id));
  }
}

/** The client that the events of a prompt go to. */
export function clientIdOf(extraData: JsonObject): string | undefined {
  const clientId = extraData.client_id;
  return typeof clientId === "string" ? clientId : undefined;
}

const MEMORY_TIP =
  "This error means you ran out of memory on your GPU.\n\nTIPS: If the workflow worked before you might have accidentally set the batch_size to a large number.";

/** Whether previews are made: as the prompt says if it says something known, else as the server is set. */
function makesPreviews(extraData: JsonObject, serverMethod: string): boolean {
  const wanted = extraData.preview_method;
  const known = typeof wanted === "string" && ["none", "auto", "latent2rgb", "taesd"].includes(wanted);
  return (known ? wanted : serverMethod) !== "none";
}
