import type { RunSignals } from "../engine.ts";

/**
 * What the caller wants of a prompt that is under way: its end, at first; then perhaps that it is stopped; then perhaps
 * that it is left alone. Never goes back, and makes the signals for what that cuts short.
 */
export class RunControl {
  /** Aborted when nothing may be waited for any more: the prompt was left, or the engine is at its end. */
  readonly giveUp: AbortSignal;
  readonly #stopping = new AbortController();
  readonly #leaving = new AbortController();
  readonly #onChange: () => void;

  /**
   * @param lifetime aborted when the engine is at its end
   * @param onChange called after each change
   */
  constructor(lifetime: AbortSignal, onChange: () => void) {
    this.giveUp = AbortSignal.any([lifetime, this.#leaving.signal]);
    this.#onChange = onChange;
  }

  /** Nobody wants the prompt any more. */
  get stopped(): boolean {
    return this.#stopping.signal.aborted;
  }

  /** The prompt is no business of ours any more. */
  get left(): boolean {
    return this.#leaving.signal.aborted;
  }

  /** Whether the prompt is to be brought to its end, with nothing said against it. */
  get wanted(): boolean {
    return !this.stopped && !this.giveUp.aborted;
  }

  stop(): void {
    if (!this.stopped && !this.left) {
      this.#stopping.abort();
      this.#onChange();
    }
  }

  leave(): void {
    if (!this.left) {
      this.#leaving.abort();
      this.#onChange();
    }
  }

  /** For something that a stop which comes later makes pointless. What begins after the stop is not cut short by it. */
  untilStop(): AbortSignal {
    return this.stopped ? this.giveUp : AbortSignal.any([this.giveUp, this.#stopping.signal]);
  }

  /** For something that should not be cut off midway: aborted only `patienceMs` after the prompt is stopped or left. */
  patient(patienceMs: number): { readonly signal: AbortSignal } & Disposable {
    const outOfPatience = new AbortController();
    let timer: NodeJS.Timeout | undefined;
    const begin = () => {
      timer ??= setTimeout(() => outOfPatience.abort(), patienceMs);
    };
    const signals = [this.#stopping.signal, this.#leaving.signal];
    if (signals.some(({ aborted }) => aborted)) {
      begin();
    }
    for (const signal of signals) {
      signal.addEventListener("abort", begin, { once: true });
    }
    return {
      signal: outOfPatience.signal,
      [Symbol.dispose]: () => {
        clearTimeout(timer);
        for (const signal of signals) {
          signal.removeEventListener("abort", begin);
        }
      },
    };
  }

  /** Does what the caller's signals say, until it is disposed of. */
  follow({ cancel, leave }: RunSignals): Disposable {
    const onCancel = () => this.stop();
    const onLeave = () => this.leave();
    leave.addEventListener("abort", onLeave, { once: true });
    cancel.addEventListener("abort", onCancel, { once: true });
    if (leave.aborted) {
      onLeave();
    }
    if (cancel.aborted) {
      onCancel();
    }
    return {
      [Symbol.dispose]: () => {
        leave.removeEventListener("abort", onLeave);
        cancel.removeEventListener("abort", onCancel);
      },
    };
  }
}
