import { createHash } from "node:crypto";
import { blobTooLarge } from "./blob-errors.ts";
import { StagedBytes, type StagedBytesHost } from "./staged-bytes.ts";
import type { StagingFile } from "./staging-file.ts";

/** What the staging area does for a body that comes in. */
export interface IntakeHost extends StagedBytesHost {
  /** Largest body that is held in memory, in bytes. */
  readonly maxHeldBytes: number;
  /** Asks for that much more memory (or gives it back, if negative). Returns whether it was granted. */
  reserve(bytes: number): boolean;
}

/** What every body gets without asking: as much as its stream costs anyway. */
const firstBufferBytes = 16_384;

/**
 * Takes in one body: hashes it, and gathers it in a buffer that grows as long as there is memory. A body that is too
 * large for that goes to a file, a full buffer at a time, so that many tiny pieces are not as many writes.
 */
export class Intake implements AsyncDisposable {
  readonly #host: IntakeHost;
  readonly #maxBytes: number;
  readonly #hash = createHash("sha256");
  #buffer = new Uint8Array(firstBufferBytes);
  /** How much of the buffer is in use. */
  #filled = 0;
  #reserved = 0;
  #sizeBytes = 0;
  #file: StagingFile | undefined;

  constructor(host: IntakeHost, maxBytes: number) {
    this.#host = host;
    this.#maxBytes = maxBytes;
  }

  /** @throws ServiceError `ASSET_TOO_LARGE` or `STORE_UNAVAILABLE` */
  async add(piece: Uint8Array): Promise<void> {
    this.#sizeBytes += piece.length;
    if (this.#sizeBytes > this.#maxBytes) {
      throw blobTooLarge(this.#maxBytes);
    }
    this.#hash.update(piece);
    for (let rest = piece; rest.length > 0; ) {
      if (this.#filled === this.#buffer.length && !this.#grow()) {
        await this.#flush();
      }
      const fitting = rest.subarray(0, this.#buffer.length - this.#filled);
      this.#buffer.set(fitting, this.#filled);
      this.#filled += fitting.length;
      rest = rest.subarray(fitting.length);
    }
  }

  /** Ends the body. Nothing is left to dispose of but what is returned. */
  async finish(): Promise<StagedBytes> {
    const sha256 = this.#hash.digest("hex");
    if (this.#file === undefined && this.#hold()) {
      const data = this.#buffer.slice(0, this.#filled);
      return new StagedBytes(this.#host, { kind: "held", data }, sha256, data.length);
    }
    const file = await this.#flush();
    this.#release();
    this.#file = undefined;
    return new StagedBytes(this.#host, { kind: "file", file }, sha256, this.#sizeBytes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#release();
    await this.#file?.[Symbol.asyncDispose]();
  }

  #grow(): boolean {
    const size = Math.min(this.#buffer.length * 2, this.#host.maxHeldBytes);
    const more = size - this.#buffer.length;
    if (more <= 0 || this.#file !== undefined || !this.#host.reserve(more)) {
      return false;
    }
    this.#reserved += more;
    const larger = new Uint8Array(size);
    larger.set(this.#buffer);
    this.#buffer = larger;
    return true;
  }

  /** Keeps memory for exactly the bytes that there are, from now on that of what is staged. */
  #hold(): boolean {
    if (this.#filled > this.#host.maxHeldBytes || !this.#host.reserve(this.#filled - this.#reserved)) {
      return false;
    }
    this.#reserved = 0;
    return true;
  }

  async #flush(): Promise<StagingFile> {
    this.#file ??= await this.#host.createFile();
    await this.#file.append(this.#buffer.subarray(0, this.#filled));
    this.#filled = 0;
    return this.#file;
  }

  #release(): void {
    this.#host.reserve(-this.#reserved);
    this.#reserved = 0;
  }
}
