import { isLastEvent, type JobEvent, type LastingEvent, type PassingEvent } from "../domain/job-event.ts";

/**
 * The events of one job, for any number of readers, each at its own pace.
 *
 * Lasting events are kept; of each kind of passing ones only the newest is. A reader holds nothing but its place, so a
 * reader that stops costs no memory and delays nobody.
 */
export class JobLog {
  readonly #lasting: LastingEvent[] = [];
  readonly #passing = new Map<PassingEvent["data"]["type"], PassingEvent & { readonly arrival: number }>();
  #arrivals = 0;
  #end: { readonly error: unknown } | "complete" | undefined;
  readonly #waiting = new Set<() => void>();

  /** Number of the last lasting event; 0 if there is none yet. */
  get lastSequence(): bigint {
    return BigInt(this.#lasting.length);
  }

  /** Whether no more events will come. */
  get ended(): boolean {
    return this.#end !== undefined;
  }

  /**
   * Adds those of `events` that are new; the last event of the job ends the log.
   *
   * @returns false, and adds nothing, if events are missing before them
   */
  append(events: readonly LastingEvent[]): boolean {
    const fresh = events.filter(({ sequence }) => sequence > this.lastSequence);
    if (fresh.length === 0 || this.#end !== undefined) {
      return true;
    }
    if (fresh[0]?.sequence !== this.lastSequence + 1n) {
      return false;
    }
    this.#lasting.push(...fresh);
    if (fresh.some(isLastEvent)) {
      this.#end = "complete";
    }
    this.#wake();
    return true;
  }

  /** Adds a passing event, if it belongs after the last lasting one: an older one is of no use any more. */
  pass(event: PassingEvent): void {
    if (event.sequence === this.lastSequence && this.#end === undefined) {
      this.#arrivals += 1;
      this.#passing.set(event.data.type, { ...event, arrival: this.#arrivals });
      this.#wake();
    }
  }

  /** Ends the log: readers get `error` thrown after the last event. */
  fail(error: unknown): void {
    this.#end ??= { error };
    this.#wake();
  }

  /**
   * Yields the lasting events with a number above `after` in order, passing ones in between, waits for more, and ends
   * with the log.
   *
   * @throws what the log failed with, or the reason of `signal` when that is aborted
   */
  async *read(after: bigint, signal: AbortSignal): AsyncGenerator<JobEvent> {
    let place = Number(after);
    for (let arrival = 0; ; ) {
      signal.throwIfAborted();
      const passing = this.#nextPassing(place, arrival);
      const lasting = this.#lasting[place];
      if (passing !== undefined) {
        const { arrival: seen, ...event } = passing;
        arrival = seen;
        yield event;
      } else if (lasting !== undefined) {
        place += 1;
        yield lasting;
      } else if (this.#end === undefined) {
        await this.#change(signal);
      } else if (this.#end === "complete") {
        return;
      } else {
        throw this.#end.error;
      }
    }
  }

  /** The first passing event after `arrival` that belongs at `place`, which is behind as many lasting events. */
  #nextPassing(place: number, arrival: number): (PassingEvent & { readonly arrival: number }) | undefined {
    let first: (PassingEvent & { readonly arrival: number }) | undefined;
    for (const event of this.#passing.values()) {
      const belongs = event.arrival > arrival && event.sequence === BigInt(place);
      if (belongs && (first === undefined || event.arrival < first.arrival)) {
        first = event;
      }
    }
    return first;
  }

  /** Resolves with the next change, or when `signal` is aborted. */
  async #change(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = () => resolve();
    this.#waiting.add(wake);
    signal.addEventListener("abort", wake, { once: true });
    await promise;
    this.#waiting.delete(wake);
    signal.removeEventListener("abort", wake);
  }

  #wake(): void {
    for (const wake of this.#waiting) {
      wake();
    }
  }
}
