import { randomUUID } from "node:crypto";
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  type S3Client,
} from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import type { Clock } from "../../lib/clock.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { blobNotFound, storeUnavailable } from "../blob-errors.ts";
import { blobNameOf } from "../blob-name.ts";
import type { BlobStore, ReadOptions, SignedUrlOptions, StagedBlob } from "../blob-store.ts";
import type { StagedBytes } from "../staged-bytes.ts";
import { openStagingArea, type StagingArea, type StagingOptions } from "../staging-area.ts";
import { contentDispositionOf } from "./content-disposition.ts";
import { createS3Client, limitsOf, type S3ClientOptions } from "./create-s3-client.ts";
import { type DownloadSource, downloadBlob } from "./download-blob.ts";
import { isMaybeMissing, isMissing, isRefused, translated } from "./s3-failures.ts";
import { uploadBlob } from "./upload-blob.ts";

export interface S3BlobStoreOptions extends S3ClientOptions, StagingOptions {
  /** Must exist. What it does with old versions, and for how long, is up to it. */
  readonly bucket: string;
  /** Begins the key of every blob, `comfyrpc/` for instance. Default: empty. */
  readonly keyPrefix?: string;
  /**
   * Where bodies wait until they are committed; they never stay long. Must be that of this process alone unless
   * `leftBehindAfterMs` is given.
   */
  readonly stagingDirectory: string;
  /**
   * Where callers reach the store, if that is not `endpoint`: used in links, never to connect to. The store must take
   * requests under that name, since a link is signed for it.
   */
  readonly publicEndpoint?: string;
}

export interface S3BlobStoreDependencies {
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What S3 allows at most, and this process's clock decides. */
const maxUrlSeconds = 604_800;

/**
 * Opens a blob store in a bucket of an S3-compatible server, which several processes may share. Does not reach for the
 * server: `check` does.
 *
 * The account needs `s3:GetObject`, `s3:PutObject` and `s3:DeleteObject` on the keys, and `s3:ListBucket` on the
 * bucket, without which S3 says "forbidden" of a key that does not exist.
 *
 * @throws ServiceError `STORE_UNAVAILABLE` if the staging directory cannot be used
 */
export async function openS3BlobStore(
  options: S3BlobStoreOptions,
  deps: S3BlobStoreDependencies,
): Promise<BlobStore> {
  const staging = await openStagingArea(options.stagingDirectory, options);
  return new S3BlobStore(options, deps, staging);
}

class S3BlobStore implements BlobStore {
  readonly #bucket: string;
  readonly #keyPrefix: string;
  readonly #clock: Clock;
  readonly #staging: StagingArea;
  readonly #client: S3Client;
  readonly #signingClient: S3Client;
  readonly #limits: ReturnType<typeof limitsOf>;
  readonly #source: DownloadSource;
  /** One key a process, so that no more than one is left of a process that is killed while it tries. */
  readonly #probeKey: string;

  constructor(options: S3BlobStoreOptions, { clock, logger }: S3BlobStoreDependencies, staging: StagingArea) {
    this.#bucket = options.bucket;
    this.#keyPrefix = options.keyPrefix ?? "";
    this.#clock = clock;
    this.#staging = staging;
    this.#limits = limitsOf(options);
    this.#client = createS3Client(options);
    const { publicEndpoint } = options;
    this.#signingClient =
      publicEndpoint === undefined ? this.#client : createS3Client({ ...options, endpoint: publicEndpoint });
    this.#source = {
      client: this.#client,
      bucket: options.bucket,
      silenceTimeoutMs: this.#limits.silenceTimeoutMs,
      logger,
    };
    this.#probeKey = `${this.#keyPrefix}check-${randomUUID()}`;
  }

  async check(signal: AbortSignal): Promise<void> {
    await this.#staging.check(signal);
    const probe = { Bucket: this.#bucket, Key: this.#probeKey };
    const sent = { abortSignal: signal };
    try {
      await this.#client.send(new PutObjectCommand({ ...probe, Body: "check" }), sent);
      const { Body } = await this.#client.send(new GetObjectCommand(probe), sent);
      if ((await Body?.transformToString()) !== "check") {
        throw new Error("the store gave back something else than was put into it");
      }
      await this.#client.send(new DeleteObjectCommand(probe), sent);
    } catch (error) {
      signal.throwIfAborted();
      throw storeUnavailable(error); // even if the object is what is missing
    }
  }

  async stage(body: AsyncIterable<Uint8Array>, maxBytes: number, signal: AbortSignal): Promise<StagedBlob> {
    const staged = await this.#staging.stage(body, maxBytes, signal);
    return {
      sha256: staged.sha256,
      sizeBytes: staged.sizeBytes,
      bytes: (signal) => staged.bytes(signal),
      commit: (signal) => this.#commit(staged, signal),
      [Symbol.asyncDispose]: () => staged[Symbol.asyncDispose](),
    };
  }

  async *read(
    sha256: string,
    options: ReadOptions,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    signal.throwIfAborted();
    const key = this.#keyOf(sha256);
    if (key === undefined) {
      throw blobNotFound();
    }
    yield* downloadBlob(this.#source, key, options, signal);
  }

  async remove(sha256: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const key = this.#keyOf(sha256);
    if (key === undefined) {
      return;
    }
    const command = new DeleteObjectCommand({ Bucket: this.#bucket, Key: key });
    await translated(this.#client.send(command, { abortSignal: signal }), signal).catch((error) => {
      if (!isMissing(error)) {
        throw error; // some servers complain of what is not there
      }
    });
  }

  /**
   * Works for seven days at most, which is what S3 allows, and no longer than temporary credentials. Never fails for a
   * blob that is not there: the link does.
   */
  async signedUrl(
    sha256: string,
    { expireTime, mediaType, fileName }: SignedUrlOptions,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    signal.throwIfAborted();
    const key = this.#keyOf(sha256);
    if (key === undefined) {
      return undefined;
    }
    const now = this.#clock.now();
    const seconds = Math.floor((expireTime.getTime() - now.getTime()) / 1_000);
    const command = new GetObjectCommand({
      Bucket: this.#bucket,
      Key: key,
      ResponseContentType: mediaType,
      ResponseContentDisposition: contentDispositionOf(fileName, mediaType),
    });
    const link = getSignedUrl(this.#signingClient, command, {
      signingDate: now,
      expiresIn: Math.min(Math.max(seconds, 1), maxUrlSeconds),
    });
    return await translated(link, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#staging[Symbol.asyncDispose]();
    this.#client.destroy();
    this.#signingClient.destroy();
  }

  async #commit(staged: StagedBytes, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const key = `${this.#keyPrefix}${blobNameOf(staged.sha256)}`;
    if ((await this.#sizeOf(key, signal)) !== staged.sizeBytes) {
      const upload = { bucket: this.#bucket, key, staged, ...this.#limits };
      await translated(uploadBlob(this.#client, upload, signal), signal);
    }
  }

  /** `undefined` if there is no such object, or it cannot be told whether there is: then putting it tells. */
  async #sizeOf(key: string, signal: AbortSignal): Promise<number | undefined> {
    const command = new HeadObjectCommand({ Bucket: this.#bucket, Key: key });
    try {
      return (await this.#client.send(command, { abortSignal: signal })).ContentLength;
    } catch (error) {
      signal.throwIfAborted();
      if (isMaybeMissing(error) || isRefused(error)) {
        return undefined;
      }
      throw storeUnavailable(error);
    }
  }

  #keyOf(sha256: string): string | undefined {
    const name = blobNameOf(sha256);
    return name === undefined ? undefined : this.#keyPrefix + name;
  }
}
