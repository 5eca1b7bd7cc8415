/**
 * Keeps what is known of assets: images that jobs made and files that callers uploaded. Their bytes are in the
 * `BlobStore`, under their SHA-256, once for all assets that have them.
 *
 * Every method throws ServiceError `STORE_UNAVAILABLE` as those of `JobStore` do.
 */
export interface AssetStore {
  /**
   * Says that bytes of this hash are about to be in the blob store, so that they are not swept: for an hour at least,
   * and as long as an asset has them. To be called before the bytes are committed there.
   */
  pinBlob(sha256: string, signal: AbortSignal): Promise<void>;

  /**
   * Keeps an asset until its time has come and no job refers to it, and pins its bytes as {@link pinBlob} does. If the tenant has the same bytes already, that
   * asset stays as it is but for its time, which becomes the later of the two.
   *
   * @returns the asset as it is kept
   */
  put(asset: AssetRecord, signal: AbortSignal): Promise<AssetRecord>;

  /** `undefined` if the tenant has none of that id, or its time has come and no job refers to it. */
  get(tenant: string, id: string, signal: AbortSignal): Promise<AssetRecord | undefined>;

  /**
   * Removes up to `limit` assets whose time has come and which no job refers to, and blobs that no asset has and that
   * were pinned more than an hour ago. `removeBytes` is called for each of these blobs while nobody can pin it, and has to
   * stop when its signal is aborted; if it throws, that blob stays known and is tried again another time.
   *
   * @returns how many assets and blobs are gone; fewer than `limit` of each: nothing more to do now
   */
  sweep(
    now: Date,
    limit: number,
    removeBytes: (sha256: string, signal: AbortSignal) => Promise<void>,
    signal: AbortSignal,
  ): Promise<{ readonly assets: number; readonly blobs: number }>;

  /** 32 random bytes that are the same for every replica, now and later, made when first asked for. */
  signingKey(signal: AbortSignal): Promise<Uint8Array>;
}

/** Something that callers can fetch by its id. */
export interface AssetRecord {
  /** SHA-256 of the bytes, in lowercase hexadecimal. */
  readonly id: string;
  readonly tenant: string;
  readonly sizeBytes: number;
  /** As the bytes tell, whatever the uploader said. */
  readonly mediaType: string;
  /** Of pictures; absent for anything else. */
  readonly widthPx?: number;
  readonly heightPx?: number;
  /** For people; empty if the uploader gave none. */
  readonly fileName: string;
  readonly createTime: Date;
  /** Until when it is kept even if no job refers to it. */
  readonly expireTime: Date;
  /** The job that made it; absent for uploads. */
  readonly origin?: AssetOrigin;
}

export interface AssetOrigin {
  readonly jobId: string;
  /** Absent for what is no image. */
  readonly imageIndex?: number;
  readonly nodeId: string;
  /** Absent if the image was not sampled, or nobody can tell. */
  readonly seed?: bigint;
}
