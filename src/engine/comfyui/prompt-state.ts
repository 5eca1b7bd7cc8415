import type { Output, RunEvent } from "../engine.ts";
import { isBlockedBranch } from "./failures.ts";
import type { NodeSteps, PreviewMessage, PromptMessage } from "./messages.ts";
import type { PromptEnd } from "./record.ts";

/** Where a prompt is in its life, as far as known. Only moves on. */
export type Phase = "submitting" | "queued" | "running";

/** What a running prompt does between two signs of life; each has its own longest silence. */
export type Activity = "loading" | "stepping";

/**
 * What is known of one prompt, told in `RunEvent`s as it becomes known. Fed with frames as they come and with what
 * look-ups find, in any order and any number of times: each thing is told once.
 */
export class PromptState {
  readonly #emit: (event: RunEvent) => void;
  readonly #displayIds = new Map<string, string>();
  readonly #steps = new Map<string, NodeSteps>();
  readonly #openNodes = new Set<string>();
  readonly #endedNodes = new Set<string>();
  readonly #outputs: Output[] = [];
  readonly #seenOutputs = new Set<string>();
  #phase: Phase = "submitting";
  #startAnnounced = false;
  #hasProgressState = false;
  #activity: Activity = "loading";
  #end: PromptEnd | undefined;
  #closed = false;

  constructor(emit: (event: RunEvent) => void) {
    this.#emit = emit;
  }

  get phase(): Phase {
    return this.#phase;
  }

  get activity(): Activity {
    return this.#activity;
  }

  /** How the prompt ended, once an event has told. */
  get end(): PromptEnd | undefined {
    return this.#end;
  }

  /** Whether the backend has written the prompt's record, as its last event tells. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Outputs that events have told about. */
  get seenOutputs(): readonly Output[] {
    return this.#outputs;
  }

  /** The backend is known to have the prompt. */
  markQueued(): void {
    if (this.#phase === "submitting") {
      this.#phase = "queued";
      this.#emit({ type: "submitted" });
    }
  }

  /** The prompt is known to run, or to have run. */
  markStarted(cachedNodeIds: readonly string[] = []): void {
    this.markQueued();
    this.#phase = "running";
    if (!this.#startAnnounced) {
      this.#startAnnounced = true;
      this.#emit({ type: "started", cachedNodeIds });
    }
  }

  onMessage(message: PromptMessage): void {
    if (message.type === "closed") {
      this.#closed = true;
    } else if (this.#end === undefined) {
      this.#apply(message);
    }
  }

  onPreview(nodeId: string, { mediaType, data }: PreviewMessage): void {
    if (this.#end === undefined) {
      this.markStarted();
      this.#emit({ type: "preview", nodeId, mediaType, data });
    }
  }

  #apply(message: Exclude<PromptMessage, { type: "closed" }>): void {
    switch (message.type) {
      case "execution_start":
        this.markQueued();
        this.#phase = "running"; // announced by `execution_cached`, which follows at once and says more
        return;
      case "execution_cached":
        this.markStarted(message.nodeIds);
        return;
      case "executing":
        this.#onExecuting(message.nodeId, message.innerNodeId);
        return;
      case "progress":
        this.#onSteps(message.steps);
        return;
      case "progress_state":
        this.#onProgressState(message.finishedNodeIds, message.steps);
        return;
      case "executed":
        this.markStarted();
        this.#addOutputs(message.outputs);
        return;
      case "execution_success":
        this.markStarted();
        this.#finishNodes([...this.#openNodes]);
        this.#end = { type: "success" };
        return;
      case "execution_interrupted":
        this.markQueued();
        this.#end = { type: "interrupted" };
        return;
      case "execution_error":
        this.markStarted();
        if (!isBlockedBranch(message.failure)) {
          this.#end = { type: "failed", failure: message.failure };
        }
        return;
    }
  }

  #onExecuting(nodeId: string, innerNodeId: string): void {
    this.markStarted();
    this.#displayIds.set(innerNodeId, nodeId);
    this.#activity = "loading";
    if (!this.#hasProgressState) {
      // Servers before 0.3.44 do not tell when a node ends; they run one at a time.
      this.#finishNodes([...this.#openNodes].filter((openId) => openId !== nodeId));
    }
    if (!this.#openNodes.has(nodeId) && !this.#endedNodes.has(nodeId)) {
      this.#openNodes.add(nodeId);
      this.#emit({ type: "nodeStarted", nodeId });
    }
  }

  /** Every step is reported twice by newer servers, and announced once. */
  #onSteps({ nodeId, value, max }: NodeSteps): void {
    this.markStarted();
    const known = this.#steps.get(nodeId);
    if (known?.value === value && known.max === max) {
      return;
    }
    this.#steps.set(nodeId, { nodeId, value, max });
    this.#activity = value < max ? "stepping" : "loading";
    this.#emit({ type: "progress", nodeId: this.#displayIds.get(nodeId) ?? nodeId, value, max });
  }

  #onProgressState(finishedNodeIds: readonly string[], steps: readonly NodeSteps[]): void {
    this.markStarted();
    this.#hasProgressState = true;
    for (const made of steps) {
      this.#onSteps(made);
    }
    this.#finishNodes(finishedNodeIds);
  }

  /** Nodes that did not run, such as those from the cache, do not finish either. */
  #finishNodes(nodeIds: readonly string[]): void {
    for (const nodeId of nodeIds) {
      if (this.#openNodes.delete(nodeId)) {
        this.#endedNodes.add(nodeId);
        this.#emit({ type: "nodeFinished", nodeId });
      }
    }
  }

  #addOutputs(outputs: readonly Output[]): void {
    const message = JSON.stringify(outputs);
    if (this.#seenOutputs.has(message)) {
      return;
    }
    this.#seenOutputs.add(message);
    for (const output of outputs) {
      this.#outputs.push(output);
      this.#emit({ type: "output", output });
    }
  }
}
