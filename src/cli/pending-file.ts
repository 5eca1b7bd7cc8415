import { randomUUID } from "node:crypto";
import { type FileHandle, mkdir, open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { FileName } from "./output-target.ts";
import { isSystemError } from "./system-error.ts";

/**
 * A file that is being written. It stands under a temporary name until {@link commit} gives it its own, so that nobody
 * ever sees half of it. Disposing of it before that removes it.
 */
export class PendingFile implements AsyncDisposable {
  readonly #directory: string;
  readonly #temporaryPath: string;
  readonly #handle: FileHandle;
  #isCommitted = false;

  /** Starts a file in `directory`, which is made if it is not there. */
  static async create(directory: string): Promise<PendingFile> {
    await mkdir(directory, { recursive: true });
    const temporaryPath = join(directory, `.comfyrpc-${randomUUID()}.part`);
    return new PendingFile(directory, temporaryPath, await open(temporaryPath, "wx"));
  }

  private constructor(directory: string, temporaryPath: string, handle: FileHandle) {
    this.#directory = directory;
    this.#temporaryPath = temporaryPath;
    this.#handle = handle;
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.#handle.writeFile(bytes);
  }

  /**
   * Closes the file and gives it its name. If that is taken and not to be overwritten, the name gets a number:
   * `fox-2.png`, `fox-3.png`.
   *
   * @returns the path of the file
   */
  async commit(name: FileName, overwrite: boolean): Promise<string> {
    await this.#handle.close();
    const path = overwrite ? join(this.#directory, fileName(name)) : await reserveName(this.#directory, name);
    try {
      await rename(this.#temporaryPath, path);
    } catch (error) {
      if (!overwrite) await rm(path, { force: true });
      throw error;
    }
    this.#isCommitted = true;
    return path;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isCommitted) return;
    await this.#handle.close();
    await rm(this.#temporaryPath, { force: true });
  }
}

function fileName({ stem, extension }: FileName): string {
  return extension === "" ? stem : `${stem}.${extension}`;
}

/** Takes the first free name by making an empty file, which no other process can do at the same time. */
async function reserveName(directory: string, { stem, extension }: FileName): Promise<string> {
  for (let number = 1; ; number++) {
    const path = join(directory, fileName({ stem: number === 1 ? stem : `${stem}-${number}`, extension }));
    try {
      const handle = await open(path, "wx");
      await handle.close();
      return path;
    } catch (error) {
      if (!isSystemError(error) || error.code !== "EEXIST") throw error;
    }
  }
}
