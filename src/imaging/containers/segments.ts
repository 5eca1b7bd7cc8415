/** A run of bytes of a file, from `start` up to, not including, `end`. */
export interface Segment {
  readonly start: number;
  readonly end: number;
  /** Whether the picture would look otherwise without it. */
  readonly isNeeded: boolean;
}

/** The file is not built as its format says, or ends in the middle of something. */
export class MalformedError extends Error {
  override readonly name = "MalformedError";
}

/** Real files have thousands of parts at most; files with more are made to keep us busy. */
const maxParts = 100_000;

/** Counts the parts of a file, and puts an end to files that have too many. */
export class PartCounter {
  #count = 0;

  /** @throws MalformedError */
  add(): void {
    if (++this.#count > maxParts) {
      throw new MalformedError(`has more than ${maxParts} parts`);
    }
  }
}

/** A view of a file that knows where it ends. All numbers that are read are checked to be inside. */
export class ByteReader {
  readonly #bytes: Buffer;

  constructor(data: Uint8Array) {
    this.#bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  }

  get length(): number {
    return this.#bytes.length;
  }

  /** @throws MalformedError if the file has not that many bytes */
  assertReaches(end: number): void {
    if (end > this.#bytes.length) {
      throw new MalformedError(
        `ends at ${this.#bytes.length}, in the middle of something that ends at ${end}`,
      );
    }
  }

  uint8(at: number): number {
    this.assertReaches(at + 1);
    return this.#bytes.readUInt8(at);
  }

  uint16(at: number): number {
    this.assertReaches(at + 2);
    return this.#bytes.readUInt16BE(at);
  }

  uint32(at: number): number {
    this.assertReaches(at + 4);
    return this.#bytes.readUInt32BE(at);
  }

  uint32LE(at: number): number {
    this.assertReaches(at + 4);
    return this.#bytes.readUInt32LE(at);
  }

  /** A number of 0, 4 or 8 bytes. */
  uint(at: number, sizeBytes: number): number {
    switch (sizeBytes) {
      case 0:
        return 0;
      case 4:
        return this.uint32(at);
      case 8:
        return this.uint32(at) * 2 ** 32 + this.uint32(at + 4);
      default:
        throw new MalformedError(`has a number of ${sizeBytes} bytes`);
    }
  }

  /** A part of the file, not copied. */
  bytes(at: number, sizeBytes: number): Uint8Array {
    this.assertReaches(at + sizeBytes);
    return this.#bytes.subarray(at, at + sizeBytes);
  }

  /** A text of one byte for each character. */
  latin1(at: number, sizeBytes: number): string {
    this.assertReaches(at + sizeBytes);
    return this.#bytes.toString("latin1", at, at + sizeBytes);
  }

  /** Where the next byte of that value is; -1 if there is none. */
  indexOf(byte: number, from: number): number {
    return this.#bytes.indexOf(byte, from);
  }
}

/** The file without what is not needed. */
export function neededBytes(data: Uint8Array, segments: readonly Segment[]): Buffer<ArrayBuffer> {
  return Buffer.concat(
    segments.filter(({ isNeeded }) => isNeeded).map(({ start, end }) => data.subarray(start, end)),
  );
}
