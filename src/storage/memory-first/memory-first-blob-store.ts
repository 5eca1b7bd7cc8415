import { createHash, randomUUID } from "node:crypto";
import type { BlobInfo, BlobStore } from "../blob-store.ts";

export interface MemoryFirstOptions {
  /** Largest blob that is kept in memory, in bytes. */
  readonly maxBlobBytes: number;
  /** Most memory for all of them together, in bytes. */
  readonly budgetBytes: number;
}

/**
 * Keeps small blobs in memory as long as the budget lasts, and gives the others to `inner`: most images are small and
 * are read once, right after they were stored, and a file costs several times what the rest of such a call does.
 * Disposing of it does not dispose of `inner`.
 */
export function createMemoryFirstBlobStore(inner: BlobStore, options: MemoryFirstOptions): BlobStore {
  return new MemoryFirstBlobStore(inner, options);
}

class MemoryFirstBlobStore implements BlobStore {
  readonly #inner: BlobStore;
  readonly #options: MemoryFirstOptions;
  readonly #blobs = new Map<string, Uint8Array>();
  #heldBytes = 0;

  constructor(inner: BlobStore, options: MemoryFirstOptions) {
    this.#inner = inner;
    this.#options = options;
  }

  async put(body: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<BlobInfo> {
    const pieces: Uint8Array[] = [];
    let sizeBytes = 0;
    const source = body[Symbol.asyncIterator]();
    try {
      for (let next = await source.next(); !next.done; next = await source.next()) {
        signal.throwIfAborted();
        pieces.push(next.value);
        sizeBytes += next.value.length;
        this.#heldBytes += next.value.length;
        if (sizeBytes > this.#options.maxBlobBytes || this.#heldBytes > this.#options.budgetBytes) {
          return await this.#inner.put(resumed(pieces, source), signal);
        }
      }
      const blob = this.#keep(Buffer.concat(pieces, sizeBytes));
      sizeBytes = 0; // held by the blob from here on
      return blob;
    } finally {
      this.#heldBytes -= sizeBytes;
      await source.return?.();
    }
  }

  async *read(id: string, chunkBytes: number, signal: AbortSignal): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    const blob = this.#blobs.get(id);
    if (blob === undefined) {
      yield* this.#inner.read(id, chunkBytes, signal);
      return;
    }
    for (let position = 0; position < blob.length; position += chunkBytes) {
      signal.throwIfAborted();
      yield blob.slice(position, position + chunkBytes);
    }
  }

  async remove(id: string): Promise<void> {
    const blob = this.#blobs.get(id);
    if (blob === undefined) {
      await this.#inner.remove(id);
      return;
    }
    this.#blobs.delete(id);
    this.#heldBytes -= blob.length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#blobs.clear();
    this.#heldBytes = 0;
  }

  #keep(data: Uint8Array): BlobInfo {
    const id = randomUUID();
    this.#blobs.set(id, data);
    const sha256 = createHash("sha256").update(data).digest("hex");
    return { id, sizeBytes: data.length, sha256, head: data.subarray(0, 64) };
  }
}

/** What was read already, and then the rest. */
async function* resumed(
  pieces: readonly Uint8Array[],
  rest: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  yield* pieces;
  for (let next = await rest.next(); !next.done; next = await rest.next()) {
    yield next.value;
  }
}
