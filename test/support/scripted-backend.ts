import { once } from "node:events";
import { ServiceError } from "../../src/domain/errors.ts";
import type { RunEvent, RunRequest, RunSignals } from "../../src/engine/engine.ts";
import { outputsOf, ScriptedEngine } from "./scripted-engine.ts";

/** A prompt as the backend knows it. */
export interface ScriptedPrompt {
  readonly id: string;
  state: "running" | "finished" | "cancelled";
}

/**
 * A backend that several replicas have an engine for, as they have for one ComfyUI server: it remembers prompts, whoever
 * submitted them, and each runs until the test says otherwise.
 */
export class ScriptedBackend {
  readonly name: string;
  /** All prompts that it was ever given, in order. */
  readonly prompts: ScriptedPrompt[] = [];
  readonly #known = new Map<string, ScriptedPrompt>();
  readonly #changes = new EventTarget();

  constructor(name = "scripted") {
    this.name = name;
  }

  /** A way to it, for one replica. */
  connect(): ScriptedEngine {
    const engine = new ScriptedEngine();
    engine.name = this.name;
    engine.otherwise = (request, signals) => this.#run(request, signals);
    return engine;
  }

  /** Ends every prompt that runs, well. */
  finish(): void {
    for (const prompt of this.prompts) {
      prompt.state = prompt.state === "running" ? "finished" : prompt.state;
    }
    this.#changed();
  }

  /** Forgets every prompt. */
  restart(): void {
    this.#known.clear();
    this.#changed();
  }

  /** Resolves when it has been given `count` prompts in all. */
  async given(count: number): Promise<void> {
    while (this.prompts.length < count) {
      await once(this.#changes, "change", { signal: AbortSignal.timeout(20_000) });
    }
  }

  async *#run(request: RunRequest, { cancel, leave }: RunSignals): AsyncGenerator<RunEvent> {
    const prompt = request.resume ? this.#known.get(request.promptId) : this.#submit(request);
    if (prompt === undefined) {
      throw new ServiceError("PROMPT_LOST", "never heard of it");
    }
    yield { type: "submitted" };
    yield { type: "started", cachedNodeIds: [] };
    const stop = AbortSignal.any([cancel, leave]);
    while (!stop.aborted && prompt.state === "running" && this.#known.has(prompt.id)) {
      await once(this.#changes, "change", { signal: stop }).catch(() => {});
    }
    if (leave.aborted) {
      throw new ServiceError("PROMPT_LEFT", "left");
    }
    if (prompt.state === "running" && cancel.aborted) {
      prompt.state = "cancelled";
      throw new ServiceError("CANCELLED_BY_CALLER", "cancelled");
    }
    if (prompt.state !== "finished") {
      throw new ServiceError("PROMPT_LOST", "gone");
    }
    yield { type: "finished", outputs: outputsOf(request.graph) };
  }

  #submit({ promptId, maySubmit }: RunRequest): ScriptedPrompt {
    if (!(maySubmit?.() ?? true)) {
      throw new ServiceError("PROMPT_LEFT", "not allowed");
    }
    const prompt: ScriptedPrompt = { id: promptId, state: "running" };
    this.prompts.push(prompt);
    this.#known.set(promptId, prompt);
    this.#changed();
    return prompt;
  }

  #changed(): void {
    this.#changes.dispatchEvent(new Event("change"));
  }
}
