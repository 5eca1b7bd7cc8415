/**
 * Choices that a generator makes, read off a list of bytes: equal bytes make equal choices, and a shorter list, or one of
 * zeros, makes simple ones, which is what fast-check shrinks to. After the end every choice is the first.
 */
export class Tape {
  readonly #bytes: Uint8Array;
  #position = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** A number from 0 to `count` − 1. */
  below(count: number): number {
    const high = this.#bytes[this.#position] ?? 0;
    const low = count > 256 ? (this.#bytes[this.#position + 1] ?? 0) : 0;
    this.#position += count > 256 ? 2 : 1;
    return (high + 256 * low) % count;
  }

  /** One of `items`. */
  pick<T>(items: readonly [T, ...T[]]): T;
  pick<T>(items: readonly T[]): T | undefined;
  pick<T>(items: readonly T[]): T | undefined {
    return items[this.below(Math.max(items.length, 1))];
  }
}
