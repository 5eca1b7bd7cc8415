import type { Logger } from "../../telemetry/logger.ts";
import type { ComfyUiClient } from "./client.ts";

export interface RecordSweeperDependencies {
  readonly client: Pick<ComfyUiClient, "deleteRecords">;
  readonly logger: Logger;
  /** How long to gather ids before they are sent, in milliseconds. */
  readonly delayMs: number;
}

/** So many ids are sent at once at the latest. */
const batchSize = 64;
/** Longest time that one request may take, in milliseconds. */
const requestTimeoutMs = 5_000;

/**
 * Deletes records of ended prompts, many with one request: a request for each would cost as much as submitting it did.
 * Disposing of it sends what is left; ids that are added after that are ignored, and their records stay.
 */
export class RecordSweeper implements AsyncDisposable {
  readonly #deps: RecordSweeperDependencies;
  readonly #sending = new Set<Promise<void>>();
  #ids: string[] = [];
  #timer: NodeJS.Timeout | undefined;
  #disposed = false;

  constructor(deps: RecordSweeperDependencies) {
    this.#deps = deps;
  }

  add(promptId: string): void {
    if (this.#disposed) {
      return;
    }
    this.#ids.push(promptId);
    if (this.#ids.length >= batchSize) {
      this.#flush();
    } else {
      this.#timer ??= setTimeout(() => this.#flush(), this.#deps.delayMs);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    this.#flush();
    await Promise.all(this.#sending);
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#ids.length === 0) {
      return;
    }
    const sending = this.#send(this.#ids).finally(() => this.#sending.delete(sending));
    this.#sending.add(sending);
    this.#ids = [];
  }

  async #send(promptIds: readonly string[]): Promise<void> {
    try {
      await this.#deps.client.deleteRecords(promptIds, AbortSignal.timeout(requestTimeoutMs));
    } catch (error) {
      this.#deps.logger.warn(
        { count: promptIds.length, err: error },
        "records of prompts stay on the backend",
      );
    }
  }
}
