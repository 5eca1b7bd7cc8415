import { type FileHandle, mkdir, open, stat, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import {
  blobNotFound,
  hasCode,
  offsetOutOfRange,
  storeUnavailable,
  throwUnavailable,
} from "../blob-errors.ts";
import { blobNameOf } from "../blob-name.ts";
import type { BlobStore, ReadOptions, StagedBlob } from "../blob-store.ts";
import type { StagedBytes } from "../staged-bytes.ts";
import { openStagingArea, type StagingArea, type StagingOptions } from "../staging-area.ts";
import { readFully } from "../staging-file.ts";
import { syncDirectory } from "./sync-directory.ts";
import { createTurns } from "./turns.ts";

/**
 * Opens a blob store in a directory, which is made if there is none: blobs at `ab/abcd…`, and what is not committed yet
 * in `staging/`, from which is removed now what was left behind. The directory must be on one file system, and that of
 * this process alone unless `leftBehindAfterMs` is given.
 *
 * If the directory or `staging/` goes away later, the store is out of order until it is back: it is not made again, as
 * it may be that of a disk that is not mounted.
 *
 * @throws ServiceError `STORE_UNAVAILABLE`
 */
export async function openFilesystemBlobStore(
  directory: string,
  options: StagingOptions = {},
): Promise<BlobStore> {
  const staging = await openStagingArea(join(directory, "staging"), options);
  try {
    await syncDirectory(directory);
    await syncDirectory(dirname(directory)); // a directory that was made just now has its name there
  } catch (error) {
    await staging[Symbol.asyncDispose]();
    throw error;
  }
  return new FilesystemBlobStore(directory, staging);
}

class FilesystemBlobStore implements BlobStore {
  readonly #directory: string;
  readonly #staging: StagingArea;
  readonly #inTurn = createTurns();
  /** Groups whose names from before this process are known to be on disk. */
  readonly #settledGroups = new Set<string>();
  /** Blobs that have their name, which may not be on disk yet. */
  readonly #unsettledNames = new Set<string>();

  constructor(directory: string, staging: StagingArea) {
    this.#directory = directory;
    this.#staging = staging;
  }

  check(signal: AbortSignal): Promise<void> {
    return this.#staging.check(signal);
  }

  async stage(body: AsyncIterable<Uint8Array>, maxBytes: number, signal: AbortSignal): Promise<StagedBlob> {
    const staged = await this.#staging.stage(body, maxBytes, signal);
    return {
      sha256: staged.sha256,
      sizeBytes: staged.sizeBytes,
      bytes: (signal) => staged.bytes(signal),
      // Two commits of the same bytes in turn: the second must not say that they are safe before the first does.
      commit: (signal) => this.#inTurn(staged.sha256, () => this.#commit(staged, signal)),
      [Symbol.asyncDispose]: () => staged[Symbol.asyncDispose](),
    };
  }

  async *read(
    sha256: string,
    { offset, lengthBytes = Number.POSITIVE_INFINITY, chunkBytes }: ReadOptions,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    signal.throwIfAborted();
    await using file = await this.#open(sha256);
    const { size } = await file.stat().catch(throwUnavailable);
    if (offset > size) {
      throw offsetOutOfRange(offset, size);
    }
    const end = Math.min(size, offset + lengthBytes);
    for (let position = offset; position < end; position += chunkBytes) {
      signal.throwIfAborted();
      const piece = new Uint8Array(Math.min(chunkBytes, end - position));
      await readFully(file, piece, position);
      yield piece;
    }
  }

  /** Not synced: a name that comes back after a power cut costs room, and nothing else. */
  async remove(sha256: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const name = blobNameOf(sha256);
    if (name === undefined) {
      return;
    }
    await this.#inTurn(sha256, async () => {
      try {
        await unlink(join(this.#directory, name));
      } catch (error) {
        if (!hasCode(error, "ENOENT")) {
          throw storeUnavailable(error);
        }
        await this.#staging.assertPresent();
      }
    });
  }

  async signedUrl(): Promise<undefined> {}

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#staging[Symbol.asyncDispose]();
  }

  /**
   * The bytes first, then the name, then the directory that has the name: were the name on disk before the bytes, a
   * power cut would leave a blob that is not what its name says; were the directory not synced, the blob might be gone
   * after the job that names it was stored for good.
   */
  async #commit(staged: StagedBytes, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { sha256, sizeBytes } = staged;
    const group = join(this.#directory, sha256.slice(0, 2));
    const path = join(group, sha256);
    if ((await sizeOf(path)) !== sizeBytes) {
      const file = await staged.syncedFile(signal);
      this.#unsettledNames.add(sha256);
      if (!(await file.moveTo(path))) {
        await this.#makeGroup(group);
        if (!(await file.moveTo(path))) {
          throw storeUnavailable(new Error("a staged file has gone"));
        }
      }
    } else if (this.#settledGroups.has(group) && !this.#unsettledNames.has(sha256)) {
      return;
    }
    await syncDirectory(group);
    this.#settledGroups.add(group);
    this.#unsettledNames.delete(sha256);
  }

  async #makeGroup(group: string): Promise<void> {
    await mkdir(group, { mode: 0o700 }).catch((error) => {
      if (!hasCode(error, "EEXIST")) {
        throw storeUnavailable(error);
      }
    });
    await syncDirectory(this.#directory);
  }

  async #open(sha256: string): Promise<FileHandle> {
    const name = blobNameOf(sha256);
    if (name === undefined) {
      throw blobNotFound();
    }
    try {
      return await open(join(this.#directory, name));
    } catch (error) {
      if (!hasCode(error, "ENOENT")) {
        throw storeUnavailable(error);
      }
      await this.#staging.assertPresent();
      throw blobNotFound(error);
    }
  }
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (hasCode(error, "ENOENT")) {
      return undefined;
    }
    throw storeUnavailable(error);
  }
}
