import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  type FileHandle,
  mkdir,
  mkdtempDisposable,
  open,
  readdir,
  rename,
  utimes,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it, vi } from "vitest";
import { type BlobStoreFixture, describeBlobStore } from "../../../test/contract/blob-store.ts";
import type { BlobStore } from "../blob-store.ts";
import type { StagingOptions } from "../staging-area.ts";
import { openFilesystemBlobStore } from "./filesystem-blob-store.ts";

const never = new AbortController().signal;
const mebibyte = 1_048_576;
const unavailable = { reason: "STORE_UNAVAILABLE" };

describeBlobStore("a directory", () => openFixture());
describeBlobStore("a directory that holds nothing in memory", () => openFixture({ maxHeldBytes: 0 }));
describeBlobStore("a directory with little memory", () => openFixture({ heldBudgetBytes: 1_000 }));

interface DirectoryFixture extends BlobStoreFixture {
  readonly directory: string;
}

async function openFixture(options: StagingOptions = {}): Promise<DirectoryFixture> {
  const parent = await mkdtempDisposable(join(tmpdir(), "comfyrpc-test-"));
  const directory = join(parent.path, "blobs");
  const store = await openFilesystemBlobStore(directory, options);
  return {
    directory,
    store,
    listStaged: () => readdir(join(directory, "staging")),
    async [Symbol.asyncDispose]() {
      await store[Symbol.asyncDispose]();
      await parent.remove();
    },
  };
}

it("keeps blobs in groups, and no more of them than there are", async () => {
  await using fixture = await openFixture();
  const sha256 = await put(fixture.store, Buffer.from("x"));
  await put(fixture.store, Buffer.from("x"));
  expect(await readdir(join(fixture.directory, sha256.slice(0, 2)))).toEqual([sha256]);
});

it("finds what an earlier process kept, and removes what it had only begun", async () => {
  await using fixture = await openFixture();
  const sha256 = await put(fixture.store, Buffer.from("kept"));
  await fixture.store[Symbol.asyncDispose]();
  await writeFile(join(fixture.directory, "staging", "left"), "half");
  await using store = await openFilesystemBlobStore(fixture.directory);
  expect(await fixture.listStaged()).toEqual([]);
  expect((await read(store, sha256)).toString()).toBe("kept");
  await put(store, Buffer.from("kept"));
});

it("leaves what another process of the same directory is taking in, and removes what none has touched for long", async () => {
  const shared = { leftBehindAfterMs: 60_000, maxHeldBytes: 0 };
  await using fixture = await openFixture(shared);
  await using staged = await fixture.store.stage(once(Buffer.from("x")), mebibyte, never);
  const left = join(fixture.directory, "staging", "left");
  await writeFile(left, "half");
  await utimes(left, 0, 0);
  await using other = await openFilesystemBlobStore(fixture.directory, shared);
  expect(await fixture.listStaged()).toHaveLength(1);
  await staged.commit(never);
  expect((await read(other, staged.sha256)).toString()).toBe("x");
});

it("puts a blob back that has another size than it should", async () => {
  await using fixture = await openFixture();
  const sha256 = await put(fixture.store, Buffer.from("whole"));
  await writeFile(join(fixture.directory, sha256.slice(0, 2), sha256), "half");
  await put(fixture.store, Buffer.from("whole"));
  expect((await read(fixture.store, sha256)).toString()).toBe("whole");
});

it("says so if a blob becomes shorter while it is read", async () => {
  await using fixture = await openFixture();
  const sha256 = await put(fixture.store, randomBytes(1_000));
  const pieces = fixture.store.read(sha256, { offset: 0, chunkBytes: 400 }, never);
  const reading = (async () => {
    for await (const _ of pieces) {
      await writeFile(join(fixture.directory, sha256.slice(0, 2), sha256), "short");
    }
  })();
  await expect(reading).rejects.toMatchObject(unavailable);
});

it("has no addresses of its own", async () => {
  await using fixture = await openFixture();
  const options = { expireTime: new Date(), mediaType: "image/png", fileName: "" };
  expect(await fixture.store.signedUrl("a".repeat(64), options, never)).toBeUndefined();
});

it("holds no more in memory than its budget allows, and gives memory back", async () => {
  await using fixture = await openFixture({ heldBudgetBytes: 100_000 });
  for (let round = 0; round < 3; round++) {
    await using stack = new AsyncDisposableStack();
    for (let i = 0; i < 5; i++) {
      stack.use(await fixture.store.stage(once(randomBytes(40_000)), 50_000, never));
    }
    expect(await fixture.listStaged()).toHaveLength(3);
  }
});

describe("when something is wrong with the disk", () => {
  it("says that there is no room, without a path, and commits later", async () => {
    await using fixture = await openFixture();
    await using staged = await fixture.store.stage(once(Buffer.from("bytes")), 10, never);
    const full = Object.assign(new Error("ENOSPC, write"), { code: "ENOSPC", syscall: "write", errno: -28 });
    const writes = (await spyOnFiles()).appendFile.mockRejectedValue(full);
    await expect(staged.commit(never)).rejects.toMatchObject({
      ...unavailable,
      message: "there is no room left to store images; free some, or try again later",
      cause: full,
    });
    await expect(fixture.store.check(never)).rejects.toMatchObject(unavailable);
    expect(await fixture.listStaged()).toEqual([]);
    writes.mockRestore();
    await staged.commit(never);
    expect((await read(fixture.store, staged.sha256)).toString()).toBe("bytes");
  });

  it.each([10, 2 * mebibyte])("writes %i bytes anew after they could not be synced", async (size) => {
    await using fixture = await openFixture();
    const whole = randomBytes(size);
    await using staged = await fixture.store.stage(once(whole), size, never);
    const broken = Object.assign(new Error("EIO, fdatasync"), { code: "EIO", syscall: "fdatasync" });
    const files = await spyOnFiles();
    files.datasync.mockRejectedValueOnce(broken);
    await expect(staged.commit(never)).rejects.toMatchObject({ ...unavailable, cause: broken });
    files.appendFile.mockClear();
    await staged.commit(never);
    expect(files.appendFile).toHaveBeenCalled();
    expect(await read(fixture.store, staged.sha256)).toEqual(whole);
  });

  it("does not take a blob for safe whose name could not be synced", async () => {
    await using fixture = await openFixture();
    await using staged = await fixture.store.stage(once(Buffer.from("bytes")), 10, never);
    const { sync } = await spyOnFiles();
    sync
      .mockResolvedValueOnce()
      .mockRejectedValueOnce(Object.assign(new Error("EIO, fsync"), { code: "EIO" }));
    await expect(staged.commit(never)).rejects.toMatchObject(unavailable);
    sync.mockClear();
    await staged.commit(never);
    expect(sync).toHaveBeenCalledOnce();
    await staged.commit(never);
    expect(sync).toHaveBeenCalledOnce();
  });

  it("is out of order while its directory is missing, and does not make it again", async () => {
    await using fixture = await openFixture();
    const sha256 = await put(fixture.store, Buffer.from("before"));
    await using held = await fixture.store.stage(once(Buffer.from("held")), 10, never);
    await rename(fixture.directory, `${fixture.directory}-away`);
    await expect(fixture.store.check(never)).rejects.toMatchObject(unavailable);
    await expect(held.commit(never)).rejects.toMatchObject(unavailable);
    await expect(read(fixture.store, sha256)).rejects.toMatchObject(unavailable);
    await expect(fixture.store.remove(sha256, never)).rejects.toMatchObject(unavailable);
    await expect(put(fixture.store, randomBytes(mebibyte))).rejects.toMatchObject(unavailable);
    await mkdir(fixture.directory); // where a disk would be mounted
    await expect(held.commit(never)).rejects.toMatchObject(unavailable);
    await rename(`${fixture.directory}-away`, fixture.directory);
    await fixture.store.check(never);
    await held.commit(never);
    expect((await read(fixture.store, sha256)).toString()).toBe("before");
    expect((await read(fixture.store, held.sha256)).toString()).toBe("held");
  });

  it("is out of order when less is free than it should be", async () => {
    await using fixture = await openFixture({ minFreeBytes: Number.MAX_SAFE_INTEGER });
    await expect(fixture.store.check(never)).rejects.toMatchObject({
      ...unavailable,
      message: expect.stringContaining("no room"),
    });
  });

  it("does not open where no directory can be", async () => {
    await using fixture = await openFixture();
    const file = join(fixture.directory, "file");
    await writeFile(file, "");
    await expect(openFilesystemBlobStore(file)).rejects.toMatchObject(unavailable);
  });

  it("works again after a full disk has room", async ({ skip }) => {
    await using parent = await mkdtempDisposable(join(tmpdir(), "comfyrpc-test-"));
    await using disk = await mountSmallDisk(parent.path);
    if (disk === undefined) {
      skip("a disk of its own takes a Linux where this user may mount one");
      return;
    }
    await using store = await openFilesystemBlobStore(disk.path, { minFreeBytes: 4_096 });
    const first = await put(store, randomBytes(mebibyte));
    await expect(put(store, randomBytes(2 * mebibyte))).rejects.toMatchObject({
      ...unavailable,
      message: expect.stringContaining("no room"),
    });
    expect(await readdir(join(disk.path, "staging"))).toEqual([]);
    await store.remove(first, never);
    const whole = randomBytes(1.5 * mebibyte);
    expect(await read(store, await put(store, whole))).toEqual(whole);
  });
});

/** A file system of 2 MiB in memory, or nothing where there can be none. */
async function mountSmallDisk(path: string): Promise<({ path: string } & AsyncDisposable) | undefined> {
  const run = promisify(execFile);
  try {
    await run("mount", ["-t", "tmpfs", "-o", "size=2m", "tmpfs", path]);
  } catch {
    return undefined;
  }
  return { path, [Symbol.asyncDispose]: async () => void (await run("umount", [path])) };
}

/** Watches what is done to all open files. */
async function spyOnFiles() {
  await using file = await open(import.meta.filename);
  const handles: FileHandle = Object.getPrototypeOf(file);
  return {
    appendFile: vi.spyOn(handles, "appendFile"),
    datasync: vi.spyOn(handles, "datasync"),
    sync: vi.spyOn(handles, "sync"),
  };
}

async function put(store: BlobStore, bytes: Uint8Array): Promise<string> {
  await using staged = await store.stage(once(bytes), bytes.length, never);
  await staged.commit(never);
  return staged.sha256;
}

async function read(store: BlobStore, sha256: string): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(store.read(sha256, { offset: 0, chunkBytes: 65_536 }, never)));
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
