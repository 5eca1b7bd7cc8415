import type { ComfyUiClient, JobState } from "./client.ts";
import type { PromptRecord } from "./record.ts";

/** Where a prompt is. `absent` means that the server does not know it: never did, or has lost or dropped it. */
export type Whereabouts =
  | { readonly state: "pending" }
  | { readonly state: "running" }
  | { readonly state: "absent" }
  /** The record is there if it came with the answer. */
  | { readonly state: "ended"; readonly record?: PromptRecord };

/** Finds prompts on a server by the best means that it has. */
export class PromptFinder {
  readonly #client: ComfyUiClient;
  #hasJobsRoute: boolean | undefined;

  constructor(client: ComfyUiClient) {
    this.#client = client;
  }

  /** Forgets which routes the server has, as it may have been replaced by another version. */
  reset(): void {
    this.#hasJobsRoute = undefined;
  }

  /** @throws NoAnswerError */
  async lookUp(promptId: string, signal: AbortSignal): Promise<Whereabouts> {
    const state = await this.#byJobsRoute(promptId, signal);
    return state === undefined ? this.#byQueueAndHistory(promptId, signal) : { state };
  }

  async #byJobsRoute(promptId: string, signal: AbortSignal): Promise<JobState | "absent" | undefined> {
    if (this.#hasJobsRoute === false) {
      return undefined;
    }
    const state = await this.#client.job(promptId, signal);
    if (state === "noRoute") {
      this.#hasJobsRoute = false;
      return undefined;
    }
    if (state === "unclear") {
      return undefined;
    }
    this.#hasJobsRoute = true;
    return state;
  }

  /**
   * A prompt moves only from pending to running to history, so that asking in this order cannot miss it; the other way
   * round it could.
   */
  async #byQueueAndHistory(promptId: string, signal: AbortSignal): Promise<Whereabouts> {
    const { runningIds, pendingIds } = await this.#client.queue(signal);
    if (runningIds.includes(promptId)) {
      return { state: "running" };
    }
    if (pendingIds.includes(promptId)) {
      return { state: "pending" };
    }
    const record = await this.#client.record(promptId, signal);
    return record === undefined ? { state: "absent" } : { state: "ended", record };
  }
}
