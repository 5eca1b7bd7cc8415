import { Readable } from "node:stream";
import { PutObjectCommand, type S3Client } from "@aws-sdk/client-s3";
import { pause } from "../../lib/pause.ts";
import type { StagedBytes } from "../staged-bytes.ts";
import { isPassing } from "./s3-failures.ts";

export interface Upload {
  readonly bucket: string;
  readonly key: string;
  readonly staged: StagedBytes;
  /** How often it is tried. */
  readonly maxAttempts: number;
  /** Longest silence after the body was sent, in milliseconds. */
  readonly silenceTimeoutMs: number;
}

/** The request timeout covers sending the body too, so that a larger one gets more time: as at this pace. */
const slowestBytesPerMs = 64;
const firstPauseMs = 100;

/**
 * Puts staged bytes into a bucket. Those in memory are tried again by the SDK; it cannot do so with a stream, so that a
 * file is streamed anew here.
 *
 * Throws errors of the SDK, and those of reading the file.
 */
export async function uploadBlob(client: S3Client, upload: Upload, signal: AbortSignal): Promise<void> {
  if (upload.staged.heldBytes === upload.staged.sizeBytes) {
    await put(client, upload, await upload.staged.bytes(signal), signal);
    return;
  }
  for (let attempt = 1, pauseMs = firstPauseMs; ; attempt++, pauseMs *= 2) {
    try {
      await putStream(client, upload, signal);
      return;
    } catch (error) {
      if (attempt >= upload.maxAttempts || !isPassing(error)) {
        throw error;
      }
    }
    await pause(pauseMs, signal);
    signal.throwIfAborted();
  }
}

async function putStream(client: S3Client, upload: Upload, signal: AbortSignal): Promise<void> {
  const broken = new AbortController();
  const body = Readable.from(upload.staged.pieces(signal), { objectMode: false });
  body.once("error", (error) => broken.abort(error)); // of the file: the SDK would not notice, and wait
  try {
    await put(client, upload, body, AbortSignal.any([signal, broken.signal]));
  } catch (error) {
    throw broken.signal.aborted ? broken.signal.reason : error;
  } finally {
    body.destroy();
  }
}

async function put(
  client: S3Client,
  { bucket, key, staged, silenceTimeoutMs }: Upload,
  body: Uint8Array | Readable,
  signal: AbortSignal,
): Promise<void> {
  const command = new PutObjectCommand({
    Bucket: bucket,
    Key: key,
    Body: body,
    ContentLength: staged.sizeBytes,
  });
  signPayload(command, staged.sha256);
  const requestTimeout = silenceTimeoutMs + staged.sizeBytes / slowestBytesPerMs;
  await client.send(command, { abortSignal: signal, requestTimeout });
}

/**
 * Makes the hash that we know part of the signature, which every server compares with what it receives: a body that was
 * damaged on its way is refused, over plain HTTP too. The SDK itself would hash what is in memory once more, and send
 * streams unsigned.
 */
function signPayload(command: PutObjectCommand, sha256: string): void {
  command.middlewareStack.add(
    (next) => (args) => {
      if (hasHeaders(args.request)) {
        args.request.headers["x-amz-content-sha256"] = sha256;
      }
      return next(args);
    },
    { step: "build", name: "signPayload" },
  );
}

function hasHeaders(request: unknown): request is { readonly headers: Record<string, string> } {
  return typeof request === "object" && request !== null && "headers" in request;
}
