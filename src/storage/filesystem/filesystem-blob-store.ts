import { createHash, randomUUID } from "node:crypto";
import { type FileHandle, mkdir, mkdtemp, open, rm, unlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ServiceError } from "../../domain/errors.ts";
import type { BlobInfo, BlobStore } from "../blob-store.ts";

/**
 * Opens a blob store in a fresh directory below `parentDirectory` (default: that of the system for temporary files).
 * Disposing of the store removes the directory and everything in it.
 */
export async function openTemporaryBlobStore(parentDirectory = tmpdir()): Promise<BlobStore> {
  return new FilesystemBlobStore(await mkdtemp(join(parentDirectory, "comfyrpc-")));
}

class FilesystemBlobStore implements BlobStore {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async put(body: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<BlobInfo> {
    const id = randomUUID();
    try {
      const file = await this.#create(id).catch(throwCannotStore);
      try {
        return { id, ...(await copyInto(file, body, signal)) };
      } finally {
        await file.close();
      }
    } catch (error) {
      await this.remove(id);
      throw error;
    }
  }

  async *read(id: string, chunkBytes: number, signal: AbortSignal): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    await using file = await open(this.#path(id)).catch((error: unknown) => {
      throw storeError("cannot read an image", error);
    });
    const { size } = await file.stat();
    for (let position = 0; position < size; ) {
      signal.throwIfAborted();
      const buffer = new Uint8Array(Math.min(chunkBytes, size - position));
      const { bytesRead } = await file.read(buffer, 0, buffer.length, position);
      if (bytesRead < buffer.length) {
        throw new ServiceError("INTERNAL", "an image has become shorter since it was stored");
      }
      yield buffer;
      position += bytesRead;
    }
  }

  async remove(id: string): Promise<void> {
    try {
      await unlink(this.#path(id));
    } catch (error) {
      if (!isMissing(error)) {
        throw storeError("cannot remove an image", error);
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true });
  }

  /** Makes the directory again if it has gone: systems remove old files from where temporary ones are. */
  async #create(id: string): Promise<FileHandle> {
    try {
      return await open(this.#path(id), "wx");
    } catch (error) {
      if (!isMissing(error)) {
        throw error;
      }
      await mkdir(this.#directory, { recursive: true });
      return await open(this.#path(id), "wx");
    }
  }

  #path(id: string): string {
    return join(this.#directory, id);
  }
}

async function copyInto(
  file: FileHandle,
  body: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<Omit<BlobInfo, "id">> {
  const hash = createHash("sha256");
  const head = new Uint8Array(64);
  let sizeBytes = 0;
  for await (const piece of body) {
    signal.throwIfAborted();
    if (sizeBytes < head.length) {
      head.set(piece.subarray(0, head.length - sizeBytes), sizeBytes);
    }
    hash.update(piece);
    await file.appendFile(piece).catch(throwCannotStore);
    sizeBytes += piece.length;
  }
  return { sizeBytes, sha256: hash.digest("hex"), head: head.subarray(0, Math.min(sizeBytes, head.length)) };
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

/** Only for errors of files: those of the body, which may be the operating system's too, are its owner's. */
function throwCannotStore(cause: unknown): never {
  throw storeError("cannot store an image", cause);
}

/** The path stays in the cause, for the log. */
function storeError(message: string, cause: unknown): ServiceError {
  return new ServiceError("INTERNAL", message, {}, { cause });
}
