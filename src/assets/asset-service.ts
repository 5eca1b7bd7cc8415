import { isServiceError, ServiceError } from "../domain/errors.ts";
import type { ImageCodec } from "../imaging/image-codec.ts";
import type { Clock } from "../lib/clock.ts";
import { inOnePiece } from "../lib/in-one-piece.ts";
import { Slots } from "../lib/slots.ts";
import type { AssetRecord, AssetStore } from "../storage/asset-store.ts";
import type { BlobStore, StagedBlob } from "../storage/blob-store.ts";
import { AssetLinks, type LinkCheck } from "./asset-links.ts";
import type { UploadInfo } from "./upload-info.ts";

export interface AssetServiceOptions {
  /** Largest upload, in bytes. */
  readonly maxUploadBytes: number;
  /** Largest picture of an upload, width times height, in pixels. */
  readonly maxUploadPixels: number;
  /** How long an upload is kept if its uploader does not say, in milliseconds. */
  readonly retentionMs: number;
  /** The longest that an uploader may ask for, in milliseconds. */
  readonly maxRetentionMs: number;
  /**
   * Uploads that are looked into at once, each of which takes memory for its bytes and its pixels. More wait, on disk.
   * Default: 2. Range: from 1.
   */
  readonly maxConcurrentDecodes?: number;
  /**
   * Address under which callers reach the service, such as `https://images.example.com/comfy`, put before signed links.
   * Default: none, links begin with the path.
   */
  readonly publicUrl?: string;
  /** Whether signed links lead straight to the store of the bytes if that has an address of its own. Default: false. */
  readonly directLinks?: boolean;
}

export interface AssetServiceDependencies {
  readonly assets: Pick<AssetStore, "pinBlob" | "put" | "get" | "signingKey">;
  readonly blobs: Pick<BlobStore, "stage" | "read" | "signedUrl">;
  readonly codec: Pick<ImageCodec, "inspect" | "strip">;
  readonly clock: Clock;
}

/** Whose assets are meant. */
export interface AssetOwner {
  readonly tenant: string;
}

/** A part of an asset. */
export interface AssetRange {
  /** From 0; none follow at the size of the asset. */
  readonly offset: number;
  /** Default: up to the end. */
  readonly lengthBytes?: number;
  /** Most bytes to have in memory at once. */
  readonly chunkBytes: number;
}

/** A link that works without credentials. */
export interface SignedLink {
  /** Begins with a slash unless it is a whole URL; see `AssetServiceOptions`. */
  readonly url: string;
  readonly expireTime: Date;
}

/** How long an input is kept without a job that refers to it, in milliseconds. */
export const unreferencedInputMs = 3_600_000;

/** Everything that can be done with assets. */
export class AssetService {
  readonly #options: AssetServiceOptions;
  readonly #deps: AssetServiceDependencies;
  readonly #links: AssetLinks;
  readonly #decodes: Slots;

  constructor(options: AssetServiceOptions, deps: AssetServiceDependencies) {
    this.#options = options;
    this.#deps = deps;
    this.#links = new AssetLinks(deps.assets, deps.clock);
    this.#decodes = new Slots(options.maxConcurrentDecodes ?? 2);
  }

  /**
   * Takes in a file. If the tenant has the same bytes already, the asset stays as it is and is kept for the longer of the
   * two times. Nothing is left behind if this throws or `signal` is aborted.
   *
   * @throws ServiceError `ASSET_REJECTED`, `ASSET_TOO_LARGE`, `STORE_UNAVAILABLE`; `INVALID_FIELD` if it is to be kept for
   * longer than is allowed; what `body` throws
   */
  async upload(
    body: AsyncIterable<Uint8Array>,
    info: UploadInfo,
    { tenant }: AssetOwner,
    signal: AbortSignal,
  ): Promise<AssetRecord> {
    return await this.#takeIn(body, info, this.#retentionOf(info), tenant, signal);
  }

  /**
   * Says what {@link upload} would return for a file, or throws what it would throw, and keeps nothing of it.
   *
   * @throws ServiceError as `upload` does; what `body` throws
   */
  async checkUpload(
    body: AsyncIterable<Uint8Array>,
    info: UploadInfo,
    { tenant }: AssetOwner,
    signal: AbortSignal,
  ): Promise<AssetRecord> {
    await using opened = new AsyncDisposableStack();
    const { asset } = await this.#examine(body, info, this.#retentionOf(info), tenant, opened, signal);
    const known = await this.#deps.assets.get(tenant, asset.id, signal);
    if (known === undefined) {
      return asset;
    }
    return {
      ...known,
      expireTime: new Date(Math.max(known.expireTime.getTime(), asset.expireTime.getTime())),
    };
  }

  /**
   * Takes in a file that a job is about to read, as {@link upload} does. It is kept for an hour, which the job that is to
   * refer to it needs to be accepted, and then as long as that job.
   *
   * @throws ServiceError `ASSET_REJECTED`, `ASSET_TOO_LARGE`, `STORE_UNAVAILABLE`; what `body` throws
   */
  async takeInput(
    body: AsyncIterable<Uint8Array>,
    { tenant }: AssetOwner,
    signal: AbortSignal,
  ): Promise<AssetRecord> {
    const info = { fileName: "", stripMetadata: false };
    return await this.#takeIn(body, info, unreferencedInputMs, tenant, signal);
  }

  async #takeIn(
    body: AsyncIterable<Uint8Array>,
    info: UploadInfo,
    retentionMs: number,
    tenant: string,
    signal: AbortSignal,
  ): Promise<AssetRecord> {
    const { assets } = this.#deps;
    await using opened = new AsyncDisposableStack();
    const { blob, asset } = await this.#examine(body, info, retentionMs, tenant, opened, signal);
    await assets.pinBlob(blob.sha256, signal);
    await blob.commit(signal);
    return await assets.put(asset, signal);
  }

  /** The bytes of an upload, in a blob that `opened` owns, and the asset that they make from now on. */
  async #examine(
    body: AsyncIterable<Uint8Array>,
    info: UploadInfo,
    retentionMs: number,
    tenant: string,
    opened: AsyncDisposableStack,
    signal: AbortSignal,
  ): Promise<{ readonly blob: StagedBlob; readonly asset: AssetRecord }> {
    const uploaded = opened.use(await this.#stage(body, signal));
    assertAsPromised(uploaded, info);
    const { blob, facts } = await this.#decodes.run(
      () => this.#lookInto(uploaded, info.stripMetadata, opened, signal),
      signal,
    );
    const createTime = this.#deps.clock.now();
    const asset = {
      id: blob.sha256,
      tenant,
      sizeBytes: blob.sizeBytes,
      mediaType: facts.mediaType,
      widthPx: facts.widthPx,
      heightPx: facts.heightPx,
      fileName: info.fileName,
      createTime,
      expireTime: new Date(createTime.getTime() + retentionMs),
    };
    return { blob, asset };
  }

  /** @throws ServiceError `ASSET_NOT_FOUND`, `STORE_UNAVAILABLE` */
  async get(assetId: string, { tenant }: AssetOwner, signal: AbortSignal): Promise<AssetRecord> {
    const asset = await this.#deps.assets.get(tenant, assetId, signal);
    if (asset === undefined) {
      throw new ServiceError("ASSET_NOT_FOUND", "there is no such asset; it may have expired");
    }
    return asset;
  }

  /**
   * Yields bytes of an asset, in order, reading no more ahead than one chunk. Leaving the loop early frees what reading
   * holds.
   *
   * @throws ServiceError `ASSET_NOT_FOUND` if it is gone meanwhile; `STORE_UNAVAILABLE`
   */
  async *open(
    { id, sizeBytes }: AssetRecord,
    { offset, lengthBytes, chunkBytes }: AssetRange,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    const length = Math.min(lengthBytes ?? Number.POSITIVE_INFINITY, sizeBytes - offset);
    if (length > 0) {
      yield* this.#deps.blobs.read(id, { offset, lengthBytes: length, chunkBytes }, signal);
    }
  }

  /**
   * Makes a link that works without credentials for `ttlMs` milliseconds. The asset may be removed before that.
   *
   * @throws ServiceError `ASSET_NOT_FOUND`, `STORE_UNAVAILABLE`
   */
  async sign(assetId: string, ttlMs: number, owner: AssetOwner, signal: AbortSignal): Promise<SignedLink> {
    const { directLinks = false, publicUrl = "" } = this.#options;
    const { mediaType, fileName } = await this.get(assetId, owner, signal);
    // Links expire at full seconds.
    const expireTime = new Date(Math.ceil((this.#deps.clock.now().getTime() + ttlMs) / 1_000) * 1_000);
    const direct = directLinks
      ? await this.#deps.blobs.signedUrl(assetId, { expireTime, mediaType, fileName }, signal)
      : undefined;
    if (direct !== undefined) {
      return { url: direct, expireTime };
    }
    const link = await this.#links.sign(assetId, owner.tenant, expireTime, signal);
    return { url: publicUrl.replace(/\/+$/, "") + link, expireTime };
  }

  /**
   * Checks the query of a link to an asset; `undefined` if it does not claim to be one.
   *
   * @throws ServiceError `STORE_UNAVAILABLE`
   */
  async checkLink(
    assetId: string,
    query: URLSearchParams,
    { tenant }: AssetOwner,
    signal: AbortSignal,
  ): Promise<LinkCheck | undefined> {
    return this.#links.isSigned(query) ? await this.#links.check(assetId, tenant, query, signal) : undefined;
  }

  async #stage(body: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<StagedBlob> {
    const { maxUploadBytes } = this.#options;
    try {
      return await this.#deps.blobs.stage(body, maxUploadBytes, signal);
    } catch (error) {
      if (!isServiceError(error, "ASSET_TOO_LARGE")) {
        throw error;
      }
      throw new ServiceError(
        "ASSET_TOO_LARGE",
        `the file has more than ${maxUploadBytes} bytes, which is the most this server takes`,
        { metadata: { limit_bytes: `${maxUploadBytes}` } },
        { cause: error },
      );
    }
  }

  /** What the bytes are; without their metadata if so wanted, in a blob that `opened` owns. */
  async #lookInto(uploaded: StagedBlob, strip: boolean, opened: AsyncDisposableStack, signal: AbortSignal) {
    const { codec, blobs } = this.#deps;
    const data = await uploaded.bytes(signal);
    const facts = await codec.inspect(data, { maxPixels: this.#options.maxUploadPixels });
    if (!strip) {
      return { blob: uploaded, facts };
    }
    signal.throwIfAborted();
    const stripped = await codec.strip(data); // which changes none of the facts
    return { blob: opened.use(await blobs.stage(inOnePiece(stripped), stripped.length, signal)), facts };
  }

  /** @throws ServiceError `INVALID_FIELD` */
  #retentionOf({ retentionMs = this.#options.retentionMs }: UploadInfo): number {
    const { maxRetentionMs } = this.#options;
    if (retentionMs > maxRetentionMs) {
      const description = `this server keeps uploads for at most ${maxRetentionMs / 1_000} s`;
      throw new ServiceError("INVALID_FIELD", `info.retention: ${description}`, {
        violations: [{ field: "info.retention", description }],
      });
    }
    return retentionMs;
  }
}

/** @throws ServiceError `ASSET_REJECTED` */
function assertAsPromised(staged: StagedBlob, info: UploadInfo): void {
  if (staged.sizeBytes === 0) {
    throw new ServiceError("ASSET_REJECTED", "the file is empty");
  }
  if (info.sha256 !== undefined && info.sha256 !== staged.sha256) {
    throw new ServiceError(
      "ASSET_REJECTED",
      `the bytes that came have the SHA-256 ${staged.sha256}, not the one that was promised; upload them again`,
    );
  }
}
