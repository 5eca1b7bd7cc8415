const signature = Buffer.from("\x89PNG\r\n\x1a\n", "latin1");

/**
 * Passes bytes on as they are, and reads on the way what only the chunks of a PNG tell (PNG specification, third edition,
 * 5.3). Holds no more than the head of a chunk. What is no PNG, or a broken one, passes through just so.
 */
export class PngStream implements AsyncIterable<Uint8Array> {
  readonly #body: AsyncIterable<Uint8Array>;
  #isAnimated = false;
  /** The signature, or the length and type of a chunk, as far as it has come. */
  #head = new Uint8Array(0);
  /** How much of the chunk, its checksum included, is still to pass. */
  #restBytes = 0;
  #part: "signature" | "chunks" | "other" = "signature";

  constructor(body: AsyncIterable<Uint8Array>) {
    this.#body = body;
  }

  /** Whether it is a PNG that moves: has an `acTL` before its data. Known when all has passed. */
  get isAnimated(): boolean {
    return this.#isAnimated;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for await (const piece of this.#body) {
      this.#read(piece);
      yield piece;
    }
  }

  #read(piece: Uint8Array): void {
    for (let rest = piece; rest.length > 0 && this.#part !== "other"; ) {
      if (this.#restBytes > 0) {
        const passing = Math.min(this.#restBytes, rest.length);
        this.#restBytes -= passing;
        rest = rest.subarray(passing);
        continue;
      }
      const missing = 8 - this.#head.length;
      this.#head = Buffer.concat([this.#head, rest.subarray(0, missing)]);
      rest = rest.subarray(missing);
      if (this.#head.length === 8) {
        this.#readHead(Buffer.from(this.#head));
        this.#head = new Uint8Array(0);
      }
    }
  }

  #readHead(head: Buffer): void {
    if (this.#part === "signature") {
      this.#part = head.equals(signature) ? "chunks" : "other";
      return;
    }
    const type = head.toString("latin1", 4);
    this.#isAnimated ||= type === "acTL";
    this.#restBytes = head.readUInt32BE() + 4;
    if (type === "IDAT" || type === "IEND") {
      this.#part = "other"; // nothing that follows is of interest
    }
  }
}
