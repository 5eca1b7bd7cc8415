import { expect, it } from "vitest";
import { describeBlobStore } from "../../../test/contract/blob-store.ts";
import type { BlobInfo, BlobStore } from "../blob-store.ts";
import { openTemporaryBlobStore } from "../filesystem/filesystem-blob-store.ts";
import { createMemoryFirstBlobStore } from "./memory-first-blob-store.ts";

const never = new AbortController().signal;

async function open(maxBlobBytes: number, budgetBytes: number) {
  const inner = await openTemporaryBlobStore();
  const stored: BlobInfo[] = [];
  const watched: BlobStore = {
    put: async (body, signal) => {
      const blob = await inner.put(body, signal);
      stored.push(blob);
      return blob;
    },
    read: (id, chunkBytes, signal) => inner.read(id, chunkBytes, signal),
    remove: (id) => inner.remove(id),
    [Symbol.asyncDispose]: () => inner[Symbol.asyncDispose](),
  };
  const store = createMemoryFirstBlobStore(watched, { maxBlobBytes, budgetBytes });
  return {
    stored,
    store: Object.assign(store, {
      [Symbol.asyncDispose]: () => inner[Symbol.asyncDispose](),
    }),
  };
}

// Bounds at which the blobs of the suite fall on both sides.
describeBlobStore("the memory-first store", async () => (await open(300, 1_000)).store);

it("gives to the inner store what is too large, and what is beyond the budget", async () => {
  const { store, stored } = await open(10, 15);
  await using _ = store;
  await store.put(bytes(11), never);
  expect(stored.map(({ sizeBytes }) => sizeBytes)).toEqual([11]);
  const kept = await store.put(bytes(10), never);
  await store.put(bytes(6), never);
  expect(stored.map(({ sizeBytes }) => sizeBytes)).toEqual([11, 6]);
  await store.remove(kept.id);
  await store.put(bytes(7), never);
  expect(stored).toHaveLength(2);
});

async function* bytes(count: number): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < count; i++) {
    yield Uint8Array.of(i);
  }
}
