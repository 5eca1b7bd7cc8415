import type { JsonObject } from "./json.ts";
import { type QueuedPrompt, queueEntryOf } from "./queue.ts";

/** How a prompt ended. */
export interface PromptOutcome {
  readonly status: {
    readonly status_str: "success" | "error";
    readonly completed: boolean;
    /** The `execution_*` events with their data, in order. */
    readonly messages: readonly (readonly [string, JsonObject])[];
  };
  /** What the output nodes show, by node id. */
  readonly outputs: JsonObject;
  readonly meta: JsonObject;
}

/** The record of an ended prompt. */
export interface HistoryEntry extends PromptOutcome {
  readonly prompt: QueuedPrompt;
}

/** ComfyUI keeps this many records before it drops the oldest. */
const MOST_ENTRIES = 10_000;

/** Records of ended prompts, oldest first. In memory only: a restart loses them. */
export class History {
  readonly #entries = new Map<string, HistoryEntry>();

  add(prompt: QueuedPrompt, outcome: PromptOutcome): void {
    const [oldest] = this.#entries.keys();
    if (this.#entries.size > MOST_ENTRIES && oldest !== undefined) {
      this.#entries.delete(oldest);
    }
    // A second run of the same id takes the place of the first, at its position.
    this.#entries.set(prompt.promptId, { ...outcome, prompt });
  }

  get(promptId: string): HistoryEntry | undefined {
    return this.#entries.get(promptId);
  }

  entries(): readonly HistoryEntry[] {
    return [...this.#entries.values()];
  }

  /** Part of the records: `maxItems` from `offset` on; without an offset the newest ones. */
  slice(maxItems: number | undefined, offset: number | undefined): readonly HistoryEntry[] {
    const all = this.entries();
    const start = offset ?? (maxItems === undefined ? 0 : all.length - maxItems);
    const from = Math.max(0, start);
    return all.slice(from, maxItems === undefined ? undefined : from + Math.max(1, maxItems));
  }

  delete(promptId: string): void {
    this.#entries.delete(promptId);
  }

  clear(): void {
    this.#entries.clear();
  }
}

/** A record as `GET /history` shows it. */
export function historyJsonOf({ prompt, outputs, status, meta }: HistoryEntry): JsonObject {
  const { status_str, completed, messages } = status;
  return { prompt: queueEntryOf(prompt), outputs, status: { status_str, completed, messages }, meta };
}
