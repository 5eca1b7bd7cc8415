import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { describeBlobStore } from "../../../test/contract/blob-store.ts";
import { openTemporaryBlobStore } from "./filesystem-blob-store.ts";

const never = new AbortController().signal;

describeBlobStore("the temporary file store", () => openTemporaryBlobStore());

it("leaves no file behind when a body breaks off, and no directory when it is disposed of", async () => {
  const parent = await mkdtemp(join(tmpdir(), "comfyrpc-test-"));
  try {
    const store = await openTemporaryBlobStore(parent);
    const [directory = ""] = await readdir(parent);
    async function* broken() {
      yield Buffer.from("half");
      throw new Error("the source broke");
    }
    await expect(store.put(broken(), never)).rejects.toThrow();
    expect(await readdir(join(parent, directory))).toEqual([]);
    await store[Symbol.asyncDispose]();
    expect(await readdir(parent)).toEqual([]);
  } finally {
    await rm(parent, { recursive: true });
  }
});

it("goes on when its directory was removed, as systems do with what is old", async () => {
  const parent = await mkdtemp(join(tmpdir(), "comfyrpc-test-"));
  try {
    await using store = await openTemporaryBlobStore(parent);
    const [directory = ""] = await readdir(parent);
    await rm(join(parent, directory), { recursive: true });
    async function* body() {
      yield Buffer.from("bytes");
    }
    const { id } = await store.put(body(), never);
    expect(Buffer.concat(await Array.fromAsync(store.read(id, 10, never))).toString()).toBe("bytes");
  } finally {
    await rm(parent, { recursive: true });
  }
});
