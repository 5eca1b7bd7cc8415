/** Keeps the bytes of images outside of memory, so that slow readers cost nothing but a file. */
export interface BlobStore extends AsyncDisposable {
  /**
   * Stores what `body` yields. Nothing is left behind if it throws or `signal` is aborted.
   *
   * @throws ServiceError `INTERNAL` if there is no room, or the store is out of order
   */
  put(body: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<BlobInfo>;

  /**
   * Yields the bytes of a blob in pieces of at most `chunkBytes`, each a buffer of its own. Leaving the loop early frees
   * what reading holds.
   *
   * @throws ServiceError `INTERNAL` if there is no such blob
   */
  read(id: string, chunkBytes: number, signal: AbortSignal): AsyncIterable<Uint8Array<ArrayBuffer>>;

  /** Removes a blob. Removing one that is not there does nothing. */
  remove(id: string): Promise<void>;
}

/** A blob that has been stored. */
export interface BlobInfo {
  readonly id: string;
  readonly sizeBytes: number;
  /** SHA-256 of the bytes, in lowercase hexadecimal. */
  readonly sha256: string;
  /** The first bytes, up to 64, for telling what it is. */
  readonly head: Uint8Array;
}
