/** Passes bytes on and keeps the first of them, for telling what they are. */
export class HeadReader implements AsyncIterable<Uint8Array> {
  readonly #body: AsyncIterable<Uint8Array>;
  readonly #head: Uint8Array;
  #sizeBytes = 0;

  /** @param headBytes how many to keep */
  constructor(body: AsyncIterable<Uint8Array>, headBytes: number) {
    this.#body = body;
    this.#head = new Uint8Array(headBytes);
  }

  /** The first bytes, as far as they have passed. */
  get bytes(): Uint8Array {
    return this.#head.subarray(0, Math.min(this.#sizeBytes, this.#head.length));
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for await (const piece of this.#body) {
      if (this.#sizeBytes < this.#head.length) {
        this.#head.set(piece.subarray(0, this.#head.length - this.#sizeBytes), this.#sizeBytes);
      }
      this.#sizeBytes += piece.length;
      yield piece;
    }
  }
}
