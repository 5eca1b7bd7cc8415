/**
 * Keeps bytes under their SHA-256. Owned by `app.ts`; disposing of it removes what is staged and not committed.
 *
 * Every method throws ServiceError `STORE_UNAVAILABLE` if there is no room, or the store cannot be reached or is out of
 * order.
 */
export interface BlobStore extends AsyncDisposable {
  /** Resolves if the store can be written to and read from. */
  check(signal: AbortSignal): Promise<void>;

  /**
   * Takes in what `body` yields, and holds it beside the store until it is committed or disposed of. Nothing is left
   * behind if it throws or `signal` is aborted; errors of `body` itself are thrown as they are.
   *
   * @throws ServiceError `ASSET_TOO_LARGE` if there are more than `maxBytes`
   */
  stage(body: AsyncIterable<Uint8Array>, maxBytes: number, signal: AbortSignal): Promise<StagedBlob>;

  /**
   * Yields the bytes of a blob from `offset` on, `lengthBytes` of them or all, in pieces of at most `chunkBytes`, each a
   * buffer of its own. Nothing is read ahead of the reader but one piece. Leaving the loop early frees what reading
   * holds. A blob that is removed meanwhile may still be read to its end. A length beyond the end is cut to it.
   *
   * @throws ServiceError `ASSET_NOT_FOUND` if there is no such blob; `OFFSET_OUT_OF_RANGE` if `offset` is above its size
   */
  read(sha256: string, options: ReadOptions, signal: AbortSignal): AsyncIterable<Uint8Array<ArrayBuffer>>;

  /** Removes a blob. Removing one that is not there does nothing. */
  remove(sha256: string, signal: AbortSignal): Promise<void>;

  /**
   * An address from which anybody can fetch the blob until `expireTime`, straight from the store; `undefined` if this
   * store has none.
   */
  signedUrl(sha256: string, options: SignedUrlOptions, signal: AbortSignal): Promise<string | undefined>;
}

/** Bytes that have been taken in. Disposing of it removes them unless they were committed. */
export interface StagedBlob extends AsyncDisposable {
  /** Of the bytes, in lowercase hexadecimal. */
  readonly sha256: string;
  readonly sizeBytes: number;

  /** The bytes as one buffer, which must not be changed. Also works once they are committed. */
  bytes(signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>>;

  /**
   * Puts the bytes into the store, where they are safe when this resolves. Does nothing if they are there. May be
   * called again if it failed, or if they were removed meanwhile.
   */
  commit(signal: AbortSignal): Promise<void>;
}

export interface ReadOptions {
  /** From 0; at most the size of the blob. */
  readonly offset: number;
  /** Default: up to the end. */
  readonly lengthBytes?: number;
  readonly chunkBytes: number;
}

export interface SignedUrlOptions {
  readonly expireTime: Date;
  readonly mediaType: string;
  /** Under which a browser saves it; empty: none. */
  readonly fileName: string;
}
