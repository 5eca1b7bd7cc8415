import type { Settings } from "./options.ts";
import type { Activity, Phase } from "./prompt-state.ts";

export interface WatchedPrompt {
  readonly phase: Phase;
  readonly activity: Activity;
  /** Whether its events can be had. */
  readonly live: boolean;
  /** Whether anything at all has come over its socket since its last sign of life, so that the socket is not deaf. */
  readonly socketSpeaks: boolean;
}

/** Tells a prompt that is stuck from one that is only silent, as loading a model is for minutes. */
export class Watchdog {
  readonly #settings: Settings;
  readonly #now: () => number;
  #lastSignMs: number;
  #idleSinceMs: number | undefined;
  #queueCheckedMs: number;

  /** @param now milliseconds that never go back */
  constructor(settings: Settings, now: () => number) {
    this.#settings = settings;
    this.#now = now;
    this.#lastSignMs = now();
    this.#queueCheckedMs = now();
  }

  /** When the prompt last gave a sign of life. */
  get lastSignMs(): number {
    return this.#lastSignMs;
  }

  /** The prompt gave a sign of life: an event, or a step forward that a look-up found. */
  onSign(): void {
    this.#lastSignMs = this.#now();
  }

  /** Whether it is time to see what the server runs, as the prompt waits. */
  get wantsQueueCheck(): boolean {
    return this.#now() - this.#queueCheckedMs >= this.#settings.pendingSilenceMs / 4;
  }

  onQueueChecked(runsSomething: boolean): void {
    this.#queueCheckedMs = this.#now();
    this.#idleSinceMs = runsSomething ? undefined : (this.#idleSinceMs ?? this.#queueCheckedMs);
  }

  /** Time left until the prompt counts as stuck, in milliseconds; not above 0 if it does already. */
  remainingMs({ phase, activity, live, socketSpeaks }: WatchedPrompt): number {
    const { pendingSilenceMs, loadingSilenceMs, stepSilenceMs, unheardRunMs } = this.#settings;
    if (phase !== "running") {
      return this.#idleSinceMs === undefined
        ? Number.POSITIVE_INFINITY
        : this.#idleSinceMs + pendingSilenceMs - this.#now();
    }
    // A socket can go deaf without closing (comfyui-protocol, trap 8), and a sampler then only seems to stand still.
    const betweenStepsMs = socketSpeaks ? stepSilenceMs : Math.max(stepSilenceMs, loadingSilenceMs);
    const heardMs = activity === "stepping" ? betweenStepsMs : loadingSilenceMs;
    return this.#lastSignMs + (live ? heardMs : unheardRunMs) - this.#now();
  }
}
