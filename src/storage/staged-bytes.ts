import { createHash } from "node:crypto";
import { storeUnavailable } from "./blob-errors.ts";
import type { StagingFile } from "./staging-file.ts";

/** What the staging area does for bytes that are staged. */
export interface StagedBytesHost {
  createFile(): Promise<StagingFile>;
  /** Gives up what was held. */
  release(bytes: StagedBytes): void;
}

/** Where staged bytes are: in memory if they are few. */
export type StagedContent =
  | { readonly kind: "held"; readonly data: Uint8Array<ArrayBuffer> }
  | { readonly kind: "file"; readonly file: StagingFile };

const copyBytes = 262_144;

/** Bytes that were taken in. Disposing of them removes them, unless their file was moved away. */
export class StagedBytes implements AsyncDisposable {
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly #host: StagedBytesHost;
  readonly #content: StagedContent;
  /** The file to be moved to its place, once there is one. */
  #file: StagingFile | undefined;
  #isDisposed = false;

  constructor(host: StagedBytesHost, content: StagedContent, sha256: string, sizeBytes: number) {
    this.#host = host;
    this.#content = content;
    this.sha256 = sha256;
    this.sizeBytes = sizeBytes;
    this.#file = content.kind === "file" ? content.file : undefined;
  }

  /** How many of the bytes are held in memory. */
  get heldBytes(): number {
    return this.#content.kind === "held" ? this.#content.data.length : 0;
  }

  /** The bytes as one buffer, which must not be changed. */
  async bytes(signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    signal.throwIfAborted();
    if (this.#content.kind === "held") {
      return this.#content.data;
    }
    const data = new Uint8Array(this.sizeBytes);
    await this.#content.file.readInto(data, 0);
    return data;
  }

  /** The bytes in order, in pieces that must not be changed, read as they are asked for. */
  async *pieces(signal: AbortSignal): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    if (this.#content.kind === "held") {
      yield this.#content.data;
      return;
    }
    for (let position = 0; position < this.sizeBytes; position += copyBytes) {
      signal.throwIfAborted();
      const piece = new Uint8Array(Math.min(copyBytes, this.sizeBytes - position));
      await this.#content.file.readInto(piece, position);
      yield piece;
    }
  }

  /**
   * A file in the staging directory with the bytes, which are on disk when this resolves. The caller may move it away;
   * then the next call makes another one.
   *
   * @throws ServiceError `STORE_UNAVAILABLE`; may be called again
   */
  async syncedFile(signal: AbortSignal): Promise<StagingFile> {
    if (this.#file?.isMoved) {
      await this.#dropFile();
    }
    this.#file ??= await this.#writeFile(signal);
    try {
      await this.#file.sync();
      return this.#file;
    } catch (error) {
      await this.#dropFile();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isDisposed) {
      return;
    }
    this.#isDisposed = true;
    this.#host.release(this);
    await this.#dropFile();
    if (this.#content.kind === "file") {
      await this.#content.file[Symbol.asyncDispose]();
    }
  }

  /** Checks what it copies: a file that could not be synced may have lost what was written to it. */
  async #writeFile(signal: AbortSignal): Promise<StagingFile> {
    const file = await this.#host.createFile();
    try {
      const hash = createHash("sha256");
      for await (const piece of this.pieces(signal)) {
        hash.update(piece);
        await file.append(piece);
      }
      if (this.#content.kind === "file" && hash.digest("hex") !== this.sha256) {
        throw storeUnavailable(new Error("a staged file has changed since it was written"));
      }
      return file;
    } catch (error) {
      await file[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Makes the next commit write a file of its own. The content is kept: it may be needed for that. */
  async #dropFile(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    if (this.#content.kind === "held" || this.#content.file !== file) {
      await file?.[Symbol.asyncDispose]();
    }
  }
}
