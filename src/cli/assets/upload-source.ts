import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { basename } from "node:path";
import type { Readable } from "node:stream";
import { isSystemError } from "../system-error.ts";
import { UsageError } from "../usage-error.ts";

/** Something to upload. */
export interface UploadSource {
  /** Empty where it has none. */
  readonly name: string;
  /** In lowercase hexadecimal; empty where the bytes can be read only once. */
  readonly sha256: string;
  /** The bytes, in pieces of any size. Read once. */
  readonly bytes: AsyncIterable<Uint8Array>;
}

/**
 * Opens a file, which is read to its end for its SHA-256 first, or `stdin` for `-`.
 *
 * @throws UsageError if the file cannot be read
 */
export async function openUpload(path: string, stdin: Readable, signal: AbortSignal): Promise<UploadSource> {
  if (path === "-") return { name: "", sha256: "", bytes: bytesOf(stdin) };
  const sha256 = await hashFile(path, signal);
  return { name: basename(path), sha256, bytes: bytesOf(createReadStream(path, { signal })) };
}

async function hashFile(path: string, signal: AbortSignal): Promise<string> {
  const hash = createHash("sha256");
  try {
    for await (const chunk of bytesOf(createReadStream(path, { signal }))) hash.update(chunk);
  } catch (error) {
    if (isSystemError(error)) throw new UsageError(`cannot read ${path}: ${error.message}`);
    throw error;
  }
  return hash.digest("hex");
}

async function* bytesOf(stream: Readable): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of stream) {
    if (chunk instanceof Uint8Array) yield chunk;
    else throw new TypeError("a stream of bytes is needed");
  }
}
