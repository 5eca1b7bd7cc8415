import { type FileHandle, open, rename, unlink } from "node:fs/promises";
import { hasCode, storeUnavailable, throwUnavailable } from "./blob-errors.ts";

/**
 * A file that is being filled and waits to become a blob. Stays open until it is disposed of, which removes it unless
 * it was moved away: only the descriptor that wrote the bytes is sure to be told when they could not be written.
 *
 * Every method throws ServiceError `STORE_UNAVAILABLE` if the operating system refuses.
 */
export class StagingFile implements AsyncDisposable {
  readonly #path: string;
  readonly #handle: FileHandle;
  #isSynced = false;
  #isMoved = false;

  private constructor(path: string, handle: FileHandle) {
    this.#path = path;
    this.#handle = handle;
  }

  static async create(path: string): Promise<StagingFile> {
    return new StagingFile(path, await open(path, "wx+", 0o600).catch(throwUnavailable));
  }

  /** Whether it has its final name, and is no staging file any more but for its open descriptor. */
  get isMoved(): boolean {
    return this.#isMoved;
  }

  async append(bytes: Uint8Array): Promise<void> {
    await this.#handle.appendFile(bytes).catch(throwUnavailable);
  }

  /**
   * Resolves once the bytes are on disk. If it fails, the file is of no use any more: systems forget what they could
   * not write, and the next attempt would succeed without having written it.
   */
  async sync(): Promise<void> {
    if (!this.#isSynced) {
      await this.#handle.datasync().catch(throwUnavailable);
      this.#isSynced = true;
    }
  }

  /**
   * Gives the file its final name, in place of a file of that name.
   *
   * @returns false if the directory of that name does not exist
   */
  async moveTo(path: string): Promise<boolean> {
    try {
      await rename(this.#path, path);
    } catch (error) {
      if (hasCode(error, "ENOENT")) {
        return false;
      }
      throw storeUnavailable(error);
    }
    this.#isMoved = true;
    return true;
  }

  /** Fills `buffer` with the bytes from `position` on. */
  async readInto(buffer: Uint8Array, position: number): Promise<void> {
    await readFully(this.#handle, buffer, position);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close().catch(() => {}); // nothing depends on it: what must be on disk was synced
    if (!this.#isMoved) {
      await unlink(this.#path).catch(() => {}); // what stays is removed at the next start
    }
  }
}

/**
 * Fills `buffer` with the bytes of a file from `position` on. Systems may give fewer than asked for at once.
 *
 * @throws ServiceError `STORE_UNAVAILABLE` if it cannot be read, or is shorter than that
 */
export async function readFully(file: FileHandle, buffer: Uint8Array, position: number): Promise<void> {
  for (let filled = 0; filled < buffer.length; ) {
    const { bytesRead } = await file
      .read(buffer, filled, buffer.length - filled, position + filled)
      .catch(throwUnavailable);
    if (bytesRead === 0) {
      throw storeUnavailable(new Error("a file has become shorter since it was written"));
    }
    filled += bytesRead;
  }
}
