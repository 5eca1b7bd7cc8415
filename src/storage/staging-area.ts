import { randomUUID } from "node:crypto";
import { mkdir, readdir, rm, stat, statfs } from "node:fs/promises";
import { join } from "node:path";
import { abortable } from "../lib/abortable.ts";
import { hasCode, storeUnavailable, throwUnavailable } from "./blob-errors.ts";
import { Intake, type IntakeHost } from "./intake.ts";
import type { StagedBytes } from "./staged-bytes.ts";
import { StagingFile } from "./staging-file.ts";

export interface StagingOptions {
  /** Largest body that is held in memory until it is committed, in bytes. 0: none. Default: 256 KiB. */
  readonly maxHeldBytes?: number;
  /** Most memory for all of these together, in bytes; what is above goes to files. Default: 32 MiB. */
  readonly heldBudgetBytes?: number;
  /** Less room than that on its disk counts as none, in bytes. Default: 64 MiB. */
  readonly minFreeBytes?: number;
  /**
   * How old a file must be to count as left behind by a killed process, in milliseconds. More than a body is ever at rest
   * before it is committed, if other processes have the same directory. Default: 0, it is that of this process alone.
   */
  readonly leftBehindAfterMs?: number;
}

/**
 * Opens a place for bytes that are not yet in their store, and removes what a killed process has left there. It is made
 * if there is none.
 *
 * @throws ServiceError `STORE_UNAVAILABLE`
 */
export async function openStagingArea(directory: string, options: StagingOptions = {}): Promise<StagingArea> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await removeLeftBehind(directory, options.leftBehindAfterMs ?? 0);
  } catch (error) {
    throw storeUnavailable(error);
  }
  return new StagingArea(directory, options);
}

/** Takes bodies in beside a store: small ones into memory, as long as there is enough, others into files. */
export class StagingArea implements AsyncDisposable {
  readonly #directory: string;
  readonly #maxHeldBytes: number;
  readonly #heldBudgetBytes: number;
  readonly #minFreeBytes: number;
  readonly #staged = new Set<Intake | StagedBytes>();
  #heldBytes = 0;
  #isClosed = false;

  constructor(directory: string, options: StagingOptions) {
    this.#directory = directory;
    this.#maxHeldBytes = options.maxHeldBytes ?? 262_144;
    this.#heldBudgetBytes = options.heldBudgetBytes ?? 33_554_432;
    this.#minFreeBytes = options.minFreeBytes ?? 67_108_864;
  }

  /** Resolves if there is room, and a file can be written here and is on disk then. */
  async check(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { bavail, bsize } = await statfs(this.#directory).catch(throwUnavailable);
    if (bavail * bsize < this.#minFreeBytes) {
      throw storeUnavailable(Object.assign(new Error("the disk is nearly full"), { code: "ENOSPC" }));
    }
    await using file = await this.#createFile();
    await file.append(Buffer.from("check"));
    await file.sync();
  }

  /** Throws ServiceError `STORE_UNAVAILABLE` if the directory has gone, as that of a disk that is not mounted. */
  async assertPresent(): Promise<void> {
    await statfs(this.#directory).catch(throwUnavailable);
  }

  /** As `stage` of `BlobStore`. */
  async stage(body: AsyncIterable<Uint8Array>, maxBytes: number, signal: AbortSignal): Promise<StagedBytes> {
    const intake = new Intake(this.#host, maxBytes);
    this.#staged.add(intake);
    try {
      for await (const piece of abortable(body, signal)) {
        this.#assertOpen();
        await intake.add(piece);
      }
      signal.throwIfAborted();
      this.#assertOpen();
      const staged = await intake.finish();
      this.#staged.add(staged);
      return staged;
    } catch (error) {
      await intake[Symbol.asyncDispose]();
      throw error;
    } finally {
      this.#staged.delete(intake);
    }
  }

  /** Removes all that is staged, and stages no more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await Promise.all(Array.from(this.#staged, (each) => each[Symbol.asyncDispose]()));
  }

  get #host(): IntakeHost {
    return {
      maxHeldBytes: this.#maxHeldBytes,
      createFile: () => this.#createFile(),
      reserve: (bytes) => this.#reserve(bytes),
      release: (staged) => {
        this.#reserve(-staged.heldBytes);
        this.#staged.delete(staged);
      },
    };
  }

  #reserve(bytes: number): boolean {
    if (bytes > 0 && this.#heldBytes + bytes > this.#heldBudgetBytes) {
      return false;
    }
    this.#heldBytes += bytes;
    return true;
  }

  /**
   * The directory is never made again: if it is missing, most likely its disk is, and what is written in its place
   * would be hidden or lost as soon as that is back.
   */
  #createFile(): Promise<StagingFile> {
    return StagingFile.create(join(this.#directory, randomUUID()));
  }

  #assertOpen(): void {
    if (this.#isClosed) {
      throw storeUnavailable(new Error("the store is closed"));
    }
  }
}

async function removeLeftBehind(directory: string, afterMs: number): Promise<void> {
  for (const name of await readdir(directory)) {
    const path = join(directory, name);
    if (afterMs === 0 || (await isOlder(path, afterMs))) {
      await rm(path, { recursive: true, force: true });
    }
  }
}

async function isOlder(path: string, ageMs: number): Promise<boolean> {
  try {
    return (await stat(path)).mtimeMs < Date.now() - ageMs; // the clock that the system gives to files
  } catch (error) {
    if (hasCode(error, "ENOENT")) {
      return false; // its process has just done with it
    }
    throw error;
  }
}
