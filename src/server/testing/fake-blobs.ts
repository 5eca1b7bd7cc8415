import { createHash } from "node:crypto";
import { ServiceError } from "../../domain/errors.ts";
import type { BlobStore } from "../../storage/blob-store.ts";

/** Blobs in memory, which tell how they are read. */
export interface FakeBlobs extends Pick<BlobStore, "read"> {
  /** Puts bytes in, and returns their SHA-256. */
  add(data: Uint8Array): string;
  remove(sha256: string): void;
  /** Readings that have begun and not ended. */
  readonly openReads: number;
  /** Bytes that readers have taken. */
  readonly readBytes: number;
}

export function createFakeBlobs(): FakeBlobs {
  const blobs = new Map<string, Uint8Array>();
  let openReads = 0;
  let readBytes = 0;
  return {
    add(data) {
      const sha256 = createHash("sha256").update(data).digest("hex");
      blobs.set(sha256, data);
      return sha256;
    },
    remove: (sha256) => void blobs.delete(sha256),
    get openReads() {
      return openReads;
    },
    get readBytes() {
      return readBytes;
    },
    async *read(sha256, { offset, lengthBytes = Number.POSITIVE_INFINITY, chunkBytes }, signal) {
      const data = blobs.get(sha256)?.subarray(offset);
      if (data === undefined) {
        throw new ServiceError("ASSET_NOT_FOUND", "there is no such asset");
      }
      const end = Math.min(data.length, lengthBytes);
      openReads += 1;
      try {
        for (let at = 0; at < end; at += chunkBytes) {
          signal.throwIfAborted();
          const piece = data.slice(at, Math.min(at + chunkBytes, end));
          readBytes += piece.length;
          yield piece;
        }
      } finally {
        openReads -= 1;
      }
    },
  };
}
