import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A directory of its own for a test, removed at the end. */
export interface TemporaryDirectory extends AsyncDisposable {
  readonly path: string;
  /** Everything in it, sorted, as relative paths with `/`. */
  list(): Promise<string[]>;
}

export async function createTemporaryDirectory(): Promise<TemporaryDirectory> {
  const path = await mkdtemp(join(tmpdir(), "comfyrpc-cli-"));
  return {
    path,
    list: async () =>
      (await readdir(path, { recursive: true })).map((name) => name.replaceAll("\\", "/")).sort(),
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  };
}
