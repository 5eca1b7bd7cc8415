import { createHash, randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { BlobStore, StagedBlob } from "../../src/storage/blob-store.ts";

/** A store to test, with a look behind it. Disposing of it closes the store and removes what it kept. */
export interface BlobStoreFixture extends AsyncDisposable {
  readonly store: BlobStore;
  /** Names of the files in which uncommitted bytes are. */
  listStaged(): Promise<readonly string[]>;
}

const never = new AbortController().signal;
const mebibyte = 1_048_576;

/** What every BlobStore promises. Each test has a store of its own. */
export function describeBlobStore(name: string, open: () => Promise<BlobStoreFixture>): void {
  describe(`${name} as a BlobStore`, () => {
    describe("stage", () => {
      it("tells size and hash of any bytes in any pieces, and gives them back in any range", async () => {
        await using fixture = await open();
        await fc.assert(
          fc.asyncProperty(bodies, ranges, async (pieces, { from, share, chunkBytes }) => {
            const whole = Buffer.concat(pieces);
            await using staged = await fixture.store.stage(bodyOf(pieces), whole.length, never);
            expect(staged).toMatchObject({ sha256: hashOf(whole), sizeBytes: whole.length });
            expect(Buffer.from(await staged.bytes(never))).toEqual(whole);
            await staged.commit(never);
            const offset = Math.floor(from * whole.length);
            const lengthBytes = Math.floor(share * (whole.length - offset));
            const options = { offset, lengthBytes, chunkBytes };
            const read = await Array.fromAsync(fixture.store.read(staged.sha256, options, never));
            expect(Buffer.concat(read)).toEqual(whole.subarray(offset, offset + lengthBytes));
            expect(read.every(({ length }) => length > 0 && length <= chunkBytes)).toBe(true);
          }),
          {
            numRuns: 25,
            examples: [
              [[], { from: 0, share: 1, chunkBytes: 1 }],
              [[Uint8Array.of(1, 2)], { from: 0, share: 0.5, chunkBytes: 1 }],
            ],
          },
        );
        expect(await fixture.listStaged()).toEqual([]);
      });

      it("takes a large body in many pieces", async () => {
        await using fixture = await open();
        const whole = randomBytes(3 * mebibyte + 17);
        const sha256 = await put(fixture.store, inPiecesOf(40_961, whole));
        expect(await read(fixture.store, sha256)).toEqual(whole);
      });

      it("does not mind if the body uses its buffer again", async () => {
        await using fixture = await open();
        const buffer = Buffer.alloc(4);
        async function* reusing() {
          for (const text of ["one ", "two ", "six."]) {
            buffer.write(text);
            yield buffer;
          }
        }
        const sha256 = await put(fixture.store, reusing());
        expect((await read(fixture.store, sha256)).toString()).toBe("one two six.");
      });

      it.each([10, 2 * mebibyte])(
        "refuses more than %i bytes where no more are allowed",
        async (maxBytes) => {
          await using fixture = await open();
          const body = watched(inPiecesOf(65_536, Buffer.alloc(maxBytes + 1)));
          await expect(fixture.store.stage(body, maxBytes, never)).rejects.toMatchObject({
            reason: "ASSET_TOO_LARGE",
            details: { metadata: { limit_bytes: String(maxBytes) } },
          });
          expect(body.isEnded).toBe(true);
          expect(await fixture.listStaged()).toEqual([]);
        },
      );

      it.each([10, 2 * mebibyte])(
        "throws an error of the body after %i bytes as it is",
        async (sizeBytes) => {
          await using fixture = await open();
          const lost = Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET", syscall: "read" });
          async function* broken() {
            yield Buffer.alloc(sizeBytes);
            throw lost;
          }
          await expect(fixture.store.stage(broken(), 4 * mebibyte, never)).rejects.toBe(lost);
          expect(await fixture.listStaged()).toEqual([]);
        },
      );

      it.each([10, 2 * mebibyte])(
        "ends with its signal though the body is silent after %i bytes",
        async (size) => {
          await using fixture = await open();
          const controller = new AbortController();
          const isSilent = Promise.withResolvers<void>();
          async function* silent() {
            yield Buffer.alloc(size);
            isSilent.resolve();
            await new Promise(() => {});
          }
          const staging = fixture.store.stage(silent(), 4 * mebibyte, controller.signal);
          await isSilent.promise;
          controller.abort(new Error("enough"));
          await expect(staging).rejects.toThrow("enough");
          expect(await fixture.listStaged()).toEqual([]);
        },
      );

      it("leaves nothing of what is not committed", async () => {
        await using fixture = await open();
        const staged = await fixture.store.stage(bodyOf([randomBytes(2 * mebibyte)]), 4 * mebibyte, never);
        await staged[Symbol.asyncDispose]();
        await staged[Symbol.asyncDispose]();
        expect(await fixture.listStaged()).toEqual([]);
        await expectMissing(fixture.store, staged.sha256);
      });

      it("removes what is staged when the store is closed, and stages no more", async () => {
        await using fixture = await open();
        const { store } = fixture;
        await store.stage(bodyOf([Buffer.alloc(2 * mebibyte)]), 4 * mebibyte, never);
        await store[Symbol.asyncDispose]();
        expect(await fixture.listStaged()).toEqual([]);
        await expect(store.stage(bodyOf([Buffer.from("x")]), 10, never)).rejects.toMatchObject({
          reason: "STORE_UNAVAILABLE",
        });
      });
    });

    describe("commit", () => {
      it.each([10, 2 * mebibyte])(
        "may be repeated, and leaves %i bytes readable from what was staged",
        async (size) => {
          await using fixture = await open();
          const whole = randomBytes(size);
          await using staged = await fixture.store.stage(bodyOf([whole]), size, never);
          await staged.commit(never);
          await staged.commit(never);
          expect(Buffer.from(await staged.bytes(never))).toEqual(whole);
          expect(await read(fixture.store, staged.sha256)).toEqual(whole);
        },
      );

      it.each([10, 2 * mebibyte])("puts %i bytes back that were removed", async (size) => {
        await using fixture = await open();
        const whole = randomBytes(size);
        await using staged = await fixture.store.stage(bodyOf([whole]), size, never);
        await staged.commit(never);
        await fixture.store.remove(staged.sha256, never);
        await staged.commit(never);
        expect(await read(fixture.store, staged.sha256)).toEqual(whole);
      });

      it("takes equal bytes again and again, also at once", async () => {
        await using fixture = await open();
        const whole = randomBytes(mebibyte);
        const both = Array.from({ length: 4 }, () => put(fixture.store, inPiecesOf(100_000, whole)));
        const hashes = new Set(await Promise.all(both));
        hashes.add(await put(fixture.store, bodyOf([whole])));
        expect([...hashes]).toEqual([hashOf(whole)]);
        expect(await read(fixture.store, hashOf(whole))).toEqual(whole);
        expect(await fixture.listStaged()).toEqual([]);
      });

      it("does not begin when its signal is aborted, and may be called again", async () => {
        await using fixture = await open();
        await using staged = await fixture.store.stage(bodyOf([Buffer.from("late")]), 10, never);
        await expect(staged.commit(AbortSignal.abort(new Error("over")))).rejects.toThrow("over");
        await expectMissing(fixture.store, staged.sha256);
        await staged.commit(never);
        expect((await read(fixture.store, staged.sha256)).toString()).toBe("late");
      });
    });

    describe("read", () => {
      it.each<[what: string, options: { offset: number; lengthBytes?: number }, expected: string]>([
        ["the rest", { offset: 4 }, "456789"],
        ["a part", { offset: 2, lengthBytes: 5 }, "23456"],
        ["no more than there is", { offset: 8, lengthBytes: 100 }, "89"],
        ["the last byte", { offset: 9, lengthBytes: 1 }, "9"],
        ["nothing", { offset: 3, lengthBytes: 0 }, ""],
        ["nothing at the end", { offset: 10 }, ""],
        ["nothing at the end though some is asked for", { offset: 10, lengthBytes: 3 }, ""],
      ])("yields %s", async (_what, options, expected) => {
        await using fixture = await open();
        const sha256 = await put(fixture.store, bodyOf([Buffer.from("0123456789")]));
        const pieces = await Array.fromAsync(
          fixture.store.read(sha256, { ...options, chunkBytes: 3 }, never),
        );
        expect(Buffer.concat(pieces).toString()).toBe(expected);
        expect(pieces.slice(0, -1).every(({ length }) => length === 3)).toBe(true);
      });

      it.each([undefined, 0, 5])("refuses an offset above the size (length: %s)", async (lengthBytes) => {
        await using fixture = await open();
        const sha256 = await put(fixture.store, bodyOf([Buffer.from("0123456789")]));
        const options = { offset: 11, chunkBytes: 3, ...(lengthBytes !== undefined && { lengthBytes }) };
        await expect(Array.fromAsync(fixture.store.read(sha256, options, never))).rejects.toMatchObject({
          reason: "OFFSET_OUT_OF_RANGE",
        });
      });

      it("yields pieces that do not share a buffer", async () => {
        await using fixture = await open();
        const sha256 = await put(fixture.store, bodyOf([randomBytes(1_000)]));
        const pieces = await Array.fromAsync(
          fixture.store.read(sha256, { offset: 0, chunkBytes: 300 }, never),
        );
        expect(new Set(pieces.map(({ buffer }) => buffer)).size).toBe(4);
        expect(pieces.every(({ buffer, byteLength }) => buffer.byteLength === byteLength)).toBe(true);
      });

      it("may be left early, and goes on being of use", async () => {
        await using fixture = await open();
        const whole = randomBytes(2 * mebibyte);
        const sha256 = await put(fixture.store, bodyOf([whole]));
        for (let i = 0; i < 5; i++) {
          for await (const piece of fixture.store.read(sha256, { offset: i, chunkBytes: 100 }, never)) {
            expect(Buffer.from(piece)).toEqual(whole.subarray(i, i + 100));
            break;
          }
        }
        expect(await read(fixture.store, sha256)).toEqual(whole);
      });

      it("stops when its signal is aborted", async () => {
        await using fixture = await open();
        const sha256 = await put(fixture.store, bodyOf([randomBytes(mebibyte)]));
        const controller = new AbortController();
        const pieces = fixture.store.read(sha256, { offset: 0, chunkBytes: 1_000 }, controller.signal);
        const reading = (async () => {
          for await (const _ of pieces) {
            controller.abort(new Error("enough"));
          }
        })();
        await expect(reading).rejects.toThrow("enough");
      });

      it("goes on to the end of a blob that is removed meanwhile", async () => {
        await using fixture = await open();
        const whole = randomBytes(mebibyte);
        const sha256 = await put(fixture.store, bodyOf([whole]));
        const pieces: Uint8Array[] = [];
        for await (const piece of fixture.store.read(sha256, { offset: 0, chunkBytes: 10_000 }, never)) {
          if (pieces.push(piece) === 1) {
            await fixture.store.remove(sha256, never);
          }
        }
        expect(Buffer.concat(pieces)).toEqual(whole);
        await expectMissing(fixture.store, sha256);
      });

      it.each(["f".repeat(64), "../staging", ""])("finds no blob %j", async (sha256) => {
        await using fixture = await open();
        await expectMissing(fixture.store, sha256);
      });
    });

    it("removes a blob twice without complaint, and puts it back", async () => {
      await using fixture = await open();
      const sha256 = await put(fixture.store, bodyOf([Buffer.from("x")]));
      await fixture.store.remove(sha256, never);
      await fixture.store.remove(sha256, never);
      await expectMissing(fixture.store, sha256);
      await put(fixture.store, bodyOf([Buffer.from("x")]));
      expect((await read(fixture.store, sha256)).toString()).toBe("x");
    });

    it("is in order, and leaves nothing of having tried it", async () => {
      await using fixture = await open();
      await fixture.store.check(never);
      expect(await fixture.listStaged()).toEqual([]);
    });
  });
}

const bodies = fc.array(fc.uint8Array({ maxLength: 400 }), { maxLength: 6 });
const ranges = fc.record({
  from: fc.double({ min: 0, max: 1, noNaN: true }),
  share: fc.double({ min: 0, max: 1, noNaN: true }),
  chunkBytes: fc.integer({ min: 1, max: 500 }),
});

async function put(store: BlobStore, body: AsyncIterable<Uint8Array>): Promise<string> {
  await using staged: StagedBlob = await store.stage(body, 8 * mebibyte, never);
  await staged.commit(never);
  return staged.sha256;
}

async function read(store: BlobStore, sha256: string): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(store.read(sha256, { offset: 0, chunkBytes: 65_536 }, never)));
}

async function expectMissing(store: BlobStore, sha256: string): Promise<void> {
  await expect(read(store, sha256)).rejects.toMatchObject({ reason: "ASSET_NOT_FOUND" });
}

async function* bodyOf(pieces: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* pieces;
}

async function* inPiecesOf(pieceBytes: number, whole: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < whole.length; at += pieceBytes) {
    yield whole.subarray(at, at + pieceBytes);
  }
}

/** Knows whether its loop was ended. */
function watched(source: AsyncGenerator<Uint8Array>) {
  const body = {
    isEnded: false,
    async *[Symbol.asyncIterator]() {
      try {
        yield* source;
      } finally {
        body.isEnded = true;
      }
    },
  };
  return body;
}

function hashOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
