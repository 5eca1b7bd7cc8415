import type { RunEvent } from "../engine.ts";

/** So many events may wait before steps are left out. */
const maxWaiting = 64;
/** So many previews may wait; each is some 40 kB or, from nodes that send whole pictures, megabytes. */
const maxPreviews = 4;

/**
 * Events of one run on their way to its consumer. Never waits for the consumer: one that is slow misses previews and
 * steps, but not the latest, and finds everything else, so that memory is bounded by the graph.
 */
export class RunEventQueue {
  readonly #waiting: RunEvent[] = [];
  #end: { readonly failed: boolean; readonly error?: unknown } | undefined;
  #wake: (() => void) | undefined;

  /** Adds `event`, unless the queue has ended. */
  push(event: RunEvent): void {
    if (this.#end !== undefined) {
      return;
    }
    if (event.type === "preview") {
      this.#dropPreview();
    } else if (event.type === "progress" && this.#waiting.length >= maxWaiting) {
      this.#dropStep(event.nodeId);
    }
    this.#waiting.push(event);
    this.#wake?.();
  }

  /** Lets the reader end once it has what was pushed. */
  close(): void {
    this.#end ??= { failed: false };
    this.#wake?.();
  }

  /** Lets the reader throw `error` once it has what was pushed. */
  fail(error: unknown): void {
    this.#end ??= { failed: true, error };
    this.#wake?.();
  }

  /** Waits for the next event, for one reader. `undefined` at the end; throws at a failure. */
  async next(): Promise<RunEvent | undefined> {
    for (;;) {
      const event = this.#waiting.shift();
      if (event !== undefined || this.#end?.failed === false) {
        return event;
      }
      if (this.#end !== undefined) {
        throw this.#end.error;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #dropPreview(): void {
    const previews = this.#waiting.filter(({ type }) => type === "preview");
    const oldest = previews[0];
    if (oldest !== undefined && previews.length >= maxPreviews) {
      this.#waiting.splice(this.#waiting.indexOf(oldest), 1);
    }
  }

  #dropStep(nodeId: string): void {
    const outdated = this.#waiting.findIndex((older) => older.type === "progress" && older.nodeId === nodeId);
    if (outdated !== -1) {
      this.#waiting.splice(outdated, 1);
    }
  }
}
