import { createHash } from "node:crypto";
import { buffer } from "node:stream/consumers";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { BlobStore } from "../../src/storage/blob-store.ts";

const never = new AbortController().signal;

/** What every BlobStore promises. */
export function describeBlobStore(name: string, open: () => Promise<BlobStore>): void {
  describe(`${name} as a BlobStore`, () => {
    it("gives back what was put in, in pieces no larger than asked for, with its size and hash", async () => {
      await using store = await open();
      const pieces = fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 8 });
      await fc.assert(
        fc.asyncProperty(pieces, fc.integer({ min: 1, max: 300 }), async (body, chunkBytes) => {
          const whole = Buffer.concat(body);
          const blob = await store.put(from(body), never);
          const read = await Array.fromAsync(store.read(blob.id, chunkBytes, never));
          expect(Buffer.concat(read)).toEqual(whole);
          expect(read.every(({ length }) => length <= chunkBytes)).toBe(true);
          expect(blob.sizeBytes).toBe(whole.length);
          expect(blob.sha256).toBe(createHash("sha256").update(whole).digest("hex"));
          expect(Buffer.from(blob.head)).toEqual(whole.subarray(0, 64));
        }),
        { numRuns: 30 },
      );
    });

    it("keeps nothing of a body that breaks off", async () => {
      await using store = await open();
      async function* broken() {
        yield Buffer.from("half");
        throw new Error("the source broke");
      }
      await expect(store.put(broken(), never)).rejects.toThrow("the source broke");
    });

    it("stops storing when its signal is aborted", async () => {
      await using store = await open();
      const controller = new AbortController();
      async function* endless() {
        for (let i = 0; ; i++) {
          if (i === 3) {
            controller.abort(new Error("enough"));
          }
          yield Buffer.from("more");
        }
      }
      await expect(store.put(endless(), controller.signal)).rejects.toThrow("enough");
    });

    it("keeps blobs of equal bytes apart, so that removing one leaves the other", async () => {
      await using store = await open();
      const [a, b] = [
        await store.put(from([Buffer.from("x")]), never),
        await store.put(from([Buffer.from("x")]), never),
      ];
      await store.remove(a.id);
      expect((await buffer(store.read(b.id, 10, never))).toString()).toBe("x");
    });

    it("refuses to read a blob that was removed, and removes it twice without complaint", async () => {
      await using store = await open();
      const { id } = await store.put(from([Buffer.from("x")]), never);
      await store.remove(id);
      await store.remove(id);
      await expect(Array.fromAsync(store.read(id, 10, never))).rejects.toMatchObject({ reason: "INTERNAL" });
    });
  });
}

async function* from(pieces: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* pieces;
}
