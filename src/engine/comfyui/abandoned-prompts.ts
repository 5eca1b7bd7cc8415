import { setTimeout as pause } from "node:timers/promises";
import type { Logger } from "../../telemetry/logger.ts";
import { type CancelOutcome, type CancelRoutes, cancelPrompt } from "./cancel.ts";
import type { ComfyUiClient } from "./client.ts";
import type { PromptFinder } from "./look-up.ts";

export interface AbandonedPromptsDependencies {
  readonly client: ComfyUiClient;
  readonly finder: PromptFinder;
  readonly cancelRoutes: CancelRoutes;
  readonly logger: Logger;
  /** Aborted when nothing may be waited for any more. */
  readonly lifetime: AbortSignal;
  /** Longest time to cancel one prompt, in milliseconds, before it has to wait for the next sweep. */
  readonly timeoutMs: number;
  /** Milliseconds that never go back. */
  readonly nowMs: () => number;
}

/** So many are remembered. Beyond that they run for nothing. */
const maxPrompts = 1_000;
/** How long a prompt that is not there may still arrive, in milliseconds. */
const lateArrivalMs = 2_000;

/** Prompts that may be on the server though nobody waits for them: they would cost GPU time for nothing. */
export class AbandonedPrompts {
  readonly #deps: AbandonedPromptsDependencies;
  /** Since when each was found absent, if it was; those to be tried first come first. */
  readonly #absentSinceMs = new Map<string, number | undefined>();
  #sweeping: Promise<void> | undefined;

  constructor(deps: AbandonedPromptsDependencies) {
    this.#deps = deps;
  }

  /** Resolves when no sweep is under way. */
  get settled(): Promise<void> {
    return this.#sweeping ?? Promise.resolve();
  }

  /** Remembers a prompt for the next sweep. */
  add(promptId: string): void {
    if (this.#absentSinceMs.size < maxPrompts) {
      this.#absentSinceMs.set(promptId, undefined);
    } else {
      this.#deps.logger.warn({ promptId }, "too many prompts were left behind to remember one more");
    }
  }

  /** Begins to cancel what is remembered, unless that is under way. To be called whenever the server can be reached. */
  sweep(): void {
    if (this.#absentSinceMs.size > 0) {
      this.#sweeping ??= Promise.resolve()
        .then(() => this.#cancelAll())
        .finally(() => {
          this.#sweeping = undefined;
        });
    }
  }

  async #cancelAll(): Promise<void> {
    for (const [promptId, absentSinceMs = this.#deps.nowMs()] of this.#absentSinceMs) {
      const { state } = await this.#cancel(promptId);
      if (state === "unproven") {
        // Out of reach, or the one that runs and does not stop: it must not keep the others from being cancelled.
        this.#absentSinceMs.delete(promptId);
        this.#absentSinceMs.set(promptId, undefined);
        return;
      }
      if (state === "ended" || this.#deps.nowMs() - absentSinceMs >= lateArrivalMs) {
        this.#absentSinceMs.delete(promptId);
      } else {
        this.#absentSinceMs.set(promptId, absentSinceMs);
      }
    }
  }

  async #cancel(promptId: string): Promise<CancelOutcome> {
    const { client, finder, cancelRoutes: routes, logger, lifetime, timeoutMs } = this.#deps;
    try {
      return await cancelPrompt(
        promptId,
        {
          client,
          finder,
          routes,
          logger,
          timeoutMs,
          absencesNeeded: 1,
          hasEnded: () => false, // nothing is heard of it
          wait: (pauseMs) => pause(pauseMs, undefined, { signal: lifetime }).catch(() => {}),
        },
        lifetime,
      );
    } catch (error) {
      logger.error({ promptId, err: error }, "cancelling a prompt that was left behind failed");
      return { state: "unproven" };
    }
  }
}
