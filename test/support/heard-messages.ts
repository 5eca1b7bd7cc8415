import type { BusMessage, BusSubscriber } from "../../src/storage/event-bus.ts";

/** A subscriber that keeps what it hears. */
export class HeardMessages implements BusSubscriber {
  readonly messages: BusMessage[] = [];
  gapCount = 0;
  readonly #lastWritten: () => bigint;
  #readAtGap = 0n;

  /** @param lastWritten number of the last event in the store, which is read at a gap */
  constructor(lastWritten: () => bigint = () => 0n) {
    this.#lastWritten = lastWritten;
  }

  onMessage(message: BusMessage): void {
    this.messages.push(message);
  }

  onGap(): void {
    this.gapCount++;
    this.#readAtGap = this.#lastWritten();
  }

  /** Numbers of the `recorded` messages, as they came. */
  get sequences(): readonly bigint[] {
    return this.messages.flatMap((message) => (message.type === "recorded" ? [message.lastSequence] : []));
  }

  /** Whether the event of this number is known, by its message or by what was read at a gap. */
  knows(sequence: bigint): boolean {
    return this.#readAtGap >= sequence || this.sequences.at(-1) === sequence;
  }

  /** The numbers from `first` to `last` that neither a message told of nor a gap after they were written. */
  missing(first: bigint, last: bigint): readonly bigint[] {
    const heard = new Set(this.sequences);
    const missing: bigint[] = [];
    for (let sequence = first; sequence <= last; sequence++) {
      if (sequence > this.#readAtGap && !heard.has(sequence)) {
        missing.push(sequence);
      }
    }
    return missing;
  }
}
