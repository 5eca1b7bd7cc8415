import { Readable } from "node:stream";
import { GetObjectCommand, HeadObjectCommand, type S3Client } from "@aws-sdk/client-s3";
import type { Logger } from "../../telemetry/logger.ts";
import { offsetOutOfRange, storeUnavailable } from "../blob-errors.ts";
import type { ReadOptions } from "../blob-store.ts";
import { inPieces, withoutSilence } from "./byte-stream.ts";
import { isBeyondEnd, toStoreError, translated } from "./s3-failures.ts";

/** Where blobs are downloaded from. */
export interface DownloadSource {
  readonly client: S3Client;
  readonly bucket: string;
  /** Longest silence of the server while its bytes are awaited, in milliseconds. */
  readonly silenceTimeoutMs: number;
  readonly logger: Logger;
}

/** How often in a row a download is resumed that breaks off without bringing anything. */
const maxResumes = 2;

/**
 * Yields a range of an object as `read` of `BlobStore` does. A download that breaks off is resumed where it did: servers
 * close connections whose reader is slow.
 */
export async function* downloadBlob(
  source: DownloadSource,
  key: string,
  { offset, lengthBytes, chunkBytes }: ReadOptions,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const download = new Download(source, key, signal);
  let position = offset;
  let end = lengthBytes === undefined ? undefined : offset + lengthBytes;
  for (let resumes = 0; ; resumes++) {
    const body = await download.open(position, end);
    if (body === undefined) {
      return;
    }
    end = position + body.sizeBytes;
    for await (const piece of download.piecesOf(body, chunkBytes)) {
      yield piece;
      position += piece.length;
      resumes = 0;
    }
    if (position === end) {
      return;
    }
    if (resumes >= maxResumes) {
      throw storeUnavailable(download.failure);
    }
  }
}

interface Body {
  readonly stream: Readable;
  readonly sizeBytes: number;
}

class Download {
  /** Why the last body broke off. */
  failure: unknown;
  readonly #source: DownloadSource;
  readonly #key: string;
  readonly #signal: AbortSignal;

  constructor(source: DownloadSource, key: string, signal: AbortSignal) {
    this.#source = source;
    this.#key = key;
    this.#signal = signal;
  }

  /** Asks for the bytes from `position` up to `end`, or to the end of the object. `undefined` if these are none. */
  async open(position: number, end: number | undefined): Promise<Body | undefined> {
    try {
      return await this.#request(position, end);
    } catch (error) {
      if (!isBeyondEnd(error)) {
        throw toStoreError(error, this.#signal);
      }
      await this.#assertReaches(position); // of an object that ends there, servers say the same
      return undefined;
    }
  }

  /** Yields what comes. Ends early, with `failure` set, if the body breaks off; what has come of a piece is dropped. */
  async *piecesOf({ stream, sizeBytes }: Body, chunkBytes: number): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    const bytes = withoutSilence(stream, this.#source.silenceTimeoutMs);
    try {
      yield* inPieces(bytes, sizeBytes, chunkBytes);
    } catch (error) {
      this.#signal.throwIfAborted();
      this.failure = error;
      this.#source.logger.warn({ err: error }, "download from the store broke off");
    }
  }

  /** There are no empty ranges in HTTP: for one, asks for a byte and leaves it. */
  async #request(position: number, end: number | undefined): Promise<Body | undefined> {
    const isEmpty = end !== undefined && end <= position;
    const isWhole = position === 0 && end === undefined; // without a range, which an empty object has none of
    const last = isEmpty ? position : end === undefined ? "" : end - 1;
    const command = new GetObjectCommand({
      Bucket: this.#source.bucket,
      Key: this.#key,
      ...(!isWhole && { Range: `bytes=${position}-${last}` }),
    });
    const answer = await this.#source.client.send(command, { abortSignal: this.#signal });
    const { Body: stream, ContentLength: sizeBytes, ContentRange: range } = answer;
    if (!(stream instanceof Readable)) {
      throw new Error("the answer has no body that can be streamed");
    }
    const isRight = isWhole || range?.startsWith(`bytes ${position}-`);
    if (sizeBytes !== undefined && isRight && !isEmpty) {
      const askedBytes = end === undefined ? sizeBytes : end - position;
      return { stream, sizeBytes: Math.min(sizeBytes, askedBytes) }; // some servers send more: s3rver for "0-0"
    }
    stream.on("error", () => {}).destroy();
    if (!isRight || sizeBytes === undefined) {
      throw new Error("the answer is not the range that was asked for");
    }
    return undefined;
  }

  async #assertReaches(offset: number): Promise<void> {
    const command = new HeadObjectCommand({ Bucket: this.#source.bucket, Key: this.#key });
    const sent = this.#source.client.send(command, { abortSignal: this.#signal });
    const { ContentLength: sizeBytes = 0 } = await translated(sent, this.#signal);
    if (offset > sizeBytes) {
      throw offsetOutOfRange(offset, sizeBytes);
    }
  }
}
