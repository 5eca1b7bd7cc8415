import { type FileHandle, mkdtemp, open, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, vi } from "vitest";
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

it("says of a full disk that it cannot store the image", async () => {
  await using store = await openTemporaryBlobStore();
  const full = systemError("ENOSPC", "write"); // has no path, as all errors of open files
  using _ = await failWrites(full);
  async function* body() {
    yield Buffer.from("bytes");
  }
  await expect(store.put(body(), never)).rejects.toMatchObject({
    reason: "INTERNAL",
    message: "cannot store an image",
    cause: full,
  });
});

it("passes an error of the body on as it is, though it comes from the operating system too", async () => {
  await using store = await openTemporaryBlobStore();
  const lost = systemError("ECONNRESET", "read");
  async function* body() {
    yield Buffer.from("half");
    throw lost;
  }
  await expect(store.put(body(), never)).rejects.toBe(lost);
});

function systemError(code: string, syscall: string): Error {
  return Object.assign(new Error(`${code}, ${syscall}`), { code, syscall, errno: -1 });
}

/** Makes all writes to open files fail until it is disposed of. */
async function failWrites(error: Error): Promise<Disposable> {
  await using file = await open(import.meta.filename);
  const handles: FileHandle = Object.getPrototypeOf(file);
  return vi.spyOn(handles, "appendFile").mockRejectedValue(error);
}
