import type { Json, JsonObject } from "./json.ts";

/** A prompt that has been accepted. */
export interface QueuedPrompt {
  /** Place in the queue, lowest first; whole numbers unless the client chose. */
  readonly number: number;
  readonly promptId: string;
  readonly graph: JsonObject;
  readonly extraData: JsonObject;
  /** Output nodes that are to run. */
  readonly outputs: readonly string[];
  /** Nodes that run for this prompt. Differs from `outputs` only by an ordered fault. */
  readonly targets: readonly string[];
}

/** A prompt as the protocol shows it. */
export function queueEntryOf(prompt: QueuedPrompt): readonly Json[] {
  return [prompt.number, prompt.promptId, prompt.graph, prompt.extraData, prompt.outputs];
}

/**
 * The prompts that wait and the one that runs. `onChange` is called at every change, once for each.
 *
 * As in ComfyUI it is a binary heap: the first entry of `pending` is the next to run, the order of the others is that
 * of the heap.
 */
export class PromptQueue {
  readonly #heap: QueuedPrompt[] = [];
  readonly #running = new Set<QueuedPrompt>();
  /** Prompts that have ended and whose records are held back: to clients they still run. */
  readonly #unrecorded = new Set<QueuedPrompt>();
  readonly #onChange: () => void;
  #counter = 0;

  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  get pending(): readonly QueuedPrompt[] {
    return this.#heap;
  }

  /** The prompt that runs, as far as clients are told: several while a record is held back by an ordered fault. */
  get running(): readonly QueuedPrompt[] {
    return [...this.#unrecorded, ...this.#running];
  }

  /** Pending and running prompts. */
  get remaining(): number {
    return this.#heap.length + this.#running.size + this.#unrecorded.size;
  }

  /** The number of the next submission. Every submission uses one up, rejected ones too. */
  takeNumber(): number {
    return this.#counter++;
  }

  put(prompt: QueuedPrompt): void {
    this.#heap.push(prompt);
    this.#siftUp(this.#heap.length - 1);
    this.#onChange();
  }

  /** Moves the next prompt from the waiting to the running. */
  take(): QueuedPrompt | undefined {
    const next = this.#heap[0];
    if (next) {
      this.#removeAt(0);
      this.#running.add(next);
      this.#onChange();
    }
    return next;
  }

  /** Ends a running prompt. `record` is called in the same moment, so that it is never in neither place. */
  finish(prompt: QueuedPrompt, record: () => void): void {
    this.#running.delete(prompt);
    this.#unrecorded.delete(prompt);
    record();
    this.#onChange();
  }

  /** Ends a running prompt whose record is held back until `finish`. */
  holdBack(prompt: QueuedPrompt): void {
    this.#running.delete(prompt);
    this.#unrecorded.add(prompt);
  }

  /** Whether this prompt is the one that an interruption would hit. */
  isRunning(promptId: string): boolean {
    return [...this.#running].some((prompt) => prompt.promptId === promptId);
  }

  /** Removes the first waiting prompt with this id; false if there is none. */
  delete(promptId: string): boolean {
    const index = this.#heap.findIndex((prompt) => prompt.promptId === promptId);
    if (index < 0) {
      return false;
    }
    this.#removeAt(index);
    this.#onChange();
    return true;
  }

  clear(): void {
    this.#heap.length = 0;
    this.#onChange();
  }

  /** Forgets everything, as the end of a process does. */
  reset(): void {
    this.#heap.length = 0;
    this.#running.clear();
    this.#unrecorded.clear();
    this.#counter = 0;
  }

  #removeAt(index: number): void {
    const last = this.#heap.pop();
    if (last && index < this.#heap.length) {
      this.#heap[index] = last;
      this.#siftDown(index);
      this.#siftUp(index);
    }
  }

  #siftUp(start: number): void {
    for (let index = start; index > 0; ) {
      const parent = (index - 1) >> 1;
      if (!this.#swapIfBefore(index, parent)) {
        return;
      }
      index = parent;
    }
  }

  #siftDown(start: number): void {
    for (let index = start; ; ) {
      const left = index * 2 + 1;
      const right = left + 1;
      const child = right < this.#heap.length && this.#isBefore(right, left) ? right : left;
      if (child >= this.#heap.length || !this.#swapIfBefore(child, index)) {
        return;
      }
      index = child;
    }
  }

  #swapIfBefore(index: number, other: number): boolean {
    const a = this.#heap[index];
    const b = this.#heap[other];
    if (!a || !b || !this.#isBefore(index, other)) {
      return false;
    }
    this.#heap[index] = b;
    this.#heap[other] = a;
    return true;
  }

  #isBefore(index: number, other: number): boolean {
    const a = this.#heap[index];
    const b = this.#heap[other];
    if (!a || !b) {
      return false;
    }
    return a.number < b.number || (a.number === b.number && a.promptId < b.promptId);
  }
}
