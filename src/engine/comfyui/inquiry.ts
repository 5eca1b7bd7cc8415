import { type ComfyUiClient, NoAnswerError } from "./client.ts";
import type { PromptFinder, Whereabouts } from "./look-up.ts";
import type { RunControl } from "./run-control.ts";
import { backendLost } from "./run-failures.ts";

export interface InquiryDependencies {
  readonly client: ComfyUiClient;
  readonly finder: PromptFinder;
  readonly control: RunControl;
  /** How long the backend may be out of reach, in milliseconds. */
  readonly lostAfterMs: number;
  /** When the prompt last gave a sign of life by itself: the backend cannot be lost then. Milliseconds, as of `nowMs`. */
  readonly lastSignMs: () => number;
  /** Told when the backend could not be reached, and when it could again. */
  readonly onReachChange: () => void;
  /** Milliseconds that never go back. */
  readonly nowMs: () => number;
}

/** Asks a backend about one prompt, one thing after another, and bears for a while that it does not answer. */
export class PromptInquiry {
  readonly #promptId: string;
  readonly #deps: InquiryDependencies;
  #unreachableSinceMs: number | undefined;
  #absences = 0;

  constructor(promptId: string, deps: InquiryDependencies) {
    this.#promptId = promptId;
    this.#deps = deps;
  }

  /** Whether the backend answers, as far as known. */
  get reachable(): boolean {
    return this.#unreachableSinceMs === undefined;
  }

  /** How often in a row the prompt was not found. */
  get absences(): number {
    return this.#absences;
  }

  /** Where the prompt is. `undefined` and errors as {@link ask}. */
  async lookUp(): Promise<Whereabouts | undefined> {
    const found = await this.ask((_client, signal) => this.#deps.finder.lookUp(this.#promptId, signal));
    if (found !== undefined) {
      this.#absences = found.state === "absent" ? this.#absences + 1 : 0;
    }
    return found;
  }

  /** Counts absences anew, as the prompt has been submitted again. */
  forgetAbsences(): void {
    this.#absences = 0;
  }

  /**
   * Asks the backend something. `undefined` if it does not answer now, or if the prompt is stopped meanwhile.
   *
   * @throws ServiceError `BACKEND_LOST` or `BACKEND_PROTOCOL` if it has not answered for too long; when there is nothing
   * to wait for any more, whatever reason that has
   */
  async ask<T>(question: (client: ComfyUiClient, signal: AbortSignal) => Promise<T>): Promise<T | undefined> {
    const { client, control, lostAfterMs, onReachChange, nowMs } = this.#deps;
    control.giveUp.throwIfAborted();
    const sinceMs = this.#unreachableSinceMs ?? nowMs();
    const timeout = AbortSignal.timeout(Math.max(1, Math.ceil(sinceMs + lostAfterMs - nowMs())));
    try {
      const answer = await question(client, AbortSignal.any([control.untilStop(), timeout]));
      if (!this.reachable) {
        this.#unreachableSinceMs = undefined;
        onReachChange();
      }
      return answer;
    } catch (error) {
      control.giveUp.throwIfAborted();
      if (control.stopped) {
        return undefined;
      }
      if (!timeout.aborted && !(error instanceof NoAnswerError)) {
        throw error;
      }
      this.#onNoAnswer(error, sinceMs);
      return undefined;
    }
  }

  #onNoAnswer(error: unknown, sinceMs: number): void {
    const { lostAfterMs, lastSignMs, onReachChange, nowMs } = this.#deps;
    if (this.reachable) {
      onReachChange();
    }
    this.#unreachableSinceMs = lastSignMs() > sinceMs ? undefined : sinceMs;
    if (!this.reachable && nowMs() - sinceMs >= lostAfterMs) {
      throw backendLost(error);
    }
  }
}
