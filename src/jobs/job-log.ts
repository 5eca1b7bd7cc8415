import type { JobEvent, JobEventData } from "../domain/job-event.ts";
import type { Clock } from "../lib/clock.ts";

/** Kinds of events of which a slow reader gets only the newest. */
type DroppableType = "queued" | "progress" | "preview";

/**
 * The events of one job, for any number of readers, each at its own pace.
 *
 * What must not be lost is kept; of each droppable kind only the newest is. A reader holds nothing but its place, so a
 * reader that stops costs no memory and delays nobody.
 */
export class JobLog {
  readonly #clock: Clock;
  readonly #kept: JobEvent[] = [];
  readonly #newest = new Map<DroppableType, JobEvent>();
  #lastSequence = 0n;
  #end: { readonly error: unknown } | "completed" | undefined;
  readonly #waiting = new Set<() => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Adds an event; `completed` ends the log. The first `queued` event is kept, later ones are droppable. Does nothing
   * once the log has ended.
   */
  append(data: JobEventData): void {
    if (this.#end !== undefined) {
      return;
    }
    this.#lastSequence += 1n;
    const event: JobEvent = { sequence: this.#lastSequence, time: this.#clock.now(), data };
    if (this.#isDroppable(data)) {
      this.#newest.set(data.type, event);
    } else {
      this.#kept.push(event);
    }
    if (data.type === "completed") {
      this.#end = "completed";
    }
    this.#wake();
  }

  /** Ends the log: readers get `error` thrown after the last event. */
  fail(error: unknown): void {
    this.#end ??= { error };
    this.#wake();
  }

  /**
   * Yields the events with a number above `after` in the order of their numbers, waits for more, and ends with the log.
   *
   * @throws what the log failed with, or the reason of `signal` when that is aborted
   */
  async *read(after: bigint, signal: AbortSignal): AsyncGenerator<JobEvent> {
    let place = this.#kept.findIndex(({ sequence }) => sequence > after);
    place = place === -1 ? this.#kept.length : place;
    for (let sequence = after; ; ) {
      signal.throwIfAborted();
      const event = this.#next(place, sequence);
      if (event !== undefined) {
        place += event === this.#kept[place] ? 1 : 0;
        sequence = event.sequence;
        yield event;
      } else if (this.#end === undefined) {
        await this.#change(signal);
      } else if (this.#end === "completed") {
        return;
      } else {
        throw this.#end.error;
      }
    }
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

  #isDroppable(data: JobEventData): data is Extract<JobEventData, { type: DroppableType }> {
    if (data.type === "queued") {
      return this.#kept.some((event) => event.data.type === "queued");
    }
    return data.type === "progress" || data.type === "preview";
  }

  /** The kept event at `place`, or a droppable one that comes before it and after `sequence`. */
  #next(place: number, sequence: bigint): JobEvent | undefined {
    let first = this.#kept[place];
    for (const event of this.#newest.values()) {
      if (event.sequence > sequence && (first === undefined || event.sequence < first.sequence)) {
        first = event;
      }
    }
    return first;
  }

  #wake(): void {
    for (const wake of this.#waiting) {
      wake();
    }
  }
}
