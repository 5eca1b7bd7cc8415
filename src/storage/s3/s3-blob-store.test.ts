import { createHash, randomBytes, randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtempDisposable, readdir } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type BlobStoreFixture, describeBlobStore } from "../../../test/contract/blob-store.ts";
import { startTestS3, type TestS3 } from "../../../test/support/s3.ts";
import { waitUntil } from "../../../test/support/wait-until.ts";
import { type Clock, systemClock } from "../../lib/clock.ts";
import { createLogger } from "../../telemetry/logger.ts";
import type { BlobStore } from "../blob-store.ts";
import { openS3BlobStore, type S3BlobStoreOptions } from "./s3-blob-store.ts";

const never = new AbortController().signal;
const mebibyte = 1_048_576;
const unavailable = { reason: "STORE_UNAVAILABLE" };
const logger = createLogger({ level: "silent" });

let s3: TestS3;
beforeAll(async () => {
  s3 = await startTestS3();
});
afterAll(() => s3[Symbol.asyncDispose]());

describeBlobStore("a bucket", () => openFixture());
describeBlobStore("a bucket with all bodies in files", () => openFixture({ maxHeldBytes: 0 }));

interface BucketFixture extends BlobStoreFixture {
  readonly keyPrefix: string;
}

async function openFixture(
  options: Partial<S3BlobStoreOptions> = {},
  clock: Clock = systemClock,
): Promise<BucketFixture> {
  const staging = await mkdtempDisposable(join(tmpdir(), "comfyrpc-test-"));
  const keyPrefix = `${randomUUID()}/`;
  const { endpoint, region, bucket, accessKeyId, secretAccessKey } = s3;
  const store = await openS3BlobStore(
    {
      ...{ endpoint, region, bucket, accessKeyId, secretAccessKey, pathStyle: true, keyPrefix },
      stagingDirectory: staging.path,
      ...options,
    },
    { clock, logger },
  );
  return {
    keyPrefix,
    store,
    listStaged: () => readdir(staging.path),
    async [Symbol.asyncDispose]() {
      await store[Symbol.asyncDispose]();
      await staging.remove();
    },
  };
}

it("keeps blobs under its prefix, once, and nothing else", async () => {
  await using fixture = await openFixture();
  const sha256 = await put(fixture.store, Buffer.from("x"));
  await put(fixture.store, Buffer.from("x"));
  await fixture.store.check(never);
  expect(await s3.listKeys(fixture.keyPrefix)).toEqual([
    `${fixture.keyPrefix}${sha256.slice(0, 2)}/${sha256}`,
  ]);
});

it("is shared by stores of several processes", async () => {
  const keyPrefix = `${randomUUID()}/`;
  await using first = await openFixture({ keyPrefix });
  await using second = await openFixture({ keyPrefix });
  const sha256 = await put(first.store, Buffer.from("shared"));
  expect((await read(second.store, sha256)).toString()).toBe("shared");
});

describe("a signed link", () => {
  const name = 'ein Bär, 100% "echt".png';

  it("gives anybody the bytes, with type and name", async () => {
    await using fixture = await openFixture();
    const sha256 = await put(fixture.store, Buffer.from("bytes"));
    const expireTime = new Date(Date.now() + 60_000);
    const link = await fixture.store.signedUrl(
      sha256,
      { expireTime, mediaType: "image/png", fileName: name },
      never,
    );
    const answer = await fetch(link ?? "");
    expect(answer.status).toBe(200);
    expect(answer.headers.get("content-type")).toBe("image/png");
    expect(answer.headers.get("content-disposition")).toBe(
      `inline; filename="ein B_r, 100_ _echt_.png"; filename*=UTF-8''ein%20B%C3%A4r%2C%20100%25%20%22echt%22.png`,
    );
    expect(await answer.text()).toBe("bytes");
  });

  it.each([
    ["of an hour", 3_600_000, "3600"],
    ["of a month, which is more than S3 allows", 30 * 86_400_000, "604800"],
    ["that has expired", -1, "1"],
  ])("works for the time %s", async (_what, timeMs, expected) => {
    const now = new Date("2026-02-03T04:05:06Z");
    const clock = { ...systemClock, now: () => now };
    await using fixture = await openFixture({ publicEndpoint: "https://images.example.com" }, clock);
    const options = { expireTime: new Date(now.getTime() + timeMs), mediaType: "image/png", fileName: "" };
    const link = new URL((await fixture.store.signedUrl("a".repeat(64), options, never)) ?? "");
    expect(link.origin).toBe("https://images.example.com");
    expect(link.searchParams.get("X-Amz-Date")).toBe("20260203T040506Z");
    expect(link.searchParams.get("X-Amz-Expires")).toBe(expected);
    expect(link.searchParams.get("response-content-disposition")).toBe("inline");
  });
});

describe("reading", () => {
  it("fetches little more than is read, and closes the connection when it is left", async () => {
    await using fixture = await openFixture();
    const sha256 = await put(fixture.store, randomBytes(32 * mebibyte));
    const before = s3.network.receivedBytes;
    for await (const _ of fixture.store.read(sha256, { offset: 0, chunkBytes: 65_536 }, never)) {
      await pause(300); // no event tells that nothing comes any more
      break;
    }
    expect(s3.network.receivedBytes - before).toBeLessThan(24 * mebibyte);
    await waitUntil(() => s3.network.connectionCount === 0, "all connections are closed");
  });

  it("waits for a slow reader longer than for a silent server", async () => {
    await using fixture = await openFixture({ silenceTimeoutMs: 200 });
    const whole = randomBytes(16 * mebibyte);
    const sha256 = await put(fixture.store, whole);
    const hash = createHash("sha256");
    for await (const piece of fixture.store.read(sha256, { offset: 0, chunkBytes: 8 * mebibyte }, never)) {
      hash.update(piece);
      await pause(500);
    }
    expect(hash.digest("hex")).toBe(sha256);
  });

  it("goes on where a connection broke off", async () => {
    await using fixture = await openFixture();
    const whole = randomBytes(3 * mebibyte);
    const sha256 = await put(fixture.store, whole);
    await s3.stop();
    await s3.start(); // no connection is left to be used again
    s3.network.cutAfter(mebibyte);
    s3.network.cutAfter(mebibyte);
    expect(await read(fixture.store, sha256)).toEqual(whole);
  });

  it("fails when the server falls silent", async () => {
    await using fixture = await openFixture({ silenceTimeoutMs: 200, maxAttempts: 1 });
    const sha256 = await put(fixture.store, randomBytes(32 * mebibyte));
    const reading = (async () => {
      for await (const _ of fixture.store.read(sha256, { offset: 0, chunkBytes: 65_536 }, never)) {
        s3.network.fallSilent();
      }
    })();
    try {
      await expect(reading).rejects.toMatchObject(unavailable);
    } finally {
      s3.network.speak();
    }
  });

  it("ends with its signal while the server is silent", async () => {
    await using fixture = await openFixture();
    const sha256 = await put(fixture.store, randomBytes(32 * mebibyte));
    const controller = new AbortController();
    const reading = (async () => {
      for await (const _ of fixture.store.read(
        sha256,
        { offset: 0, chunkBytes: 65_536 },
        controller.signal,
      )) {
        if (!controller.signal.aborted) {
          s3.network.fallSilent();
          setTimeout(() => controller.abort(new Error("enough")), 100);
        }
      }
    })();
    try {
      await expect(reading).rejects.toThrow("enough");
    } finally {
      s3.network.speak();
    }
  });
});

describe("when something is wrong with the server", () => {
  it("is out of order without its bucket, and works when that is back", async () => {
    await using fixture = await openFixture();
    const sha256 = await put(fixture.store, Buffer.from("gone"));
    await using staged = await fixture.store.stage(bodyOf(Buffer.from("bytes")), 10, never);
    await s3.removeBucket();
    await expectUnavailable(fixture.store, sha256, () => staged.commit(never));
    await s3.createBucket();
    await fixture.store.check(never);
    await staged.commit(never);
    expect((await read(fixture.store, staged.sha256)).toString()).toBe("bytes");
    await expect(read(fixture.store, sha256)).rejects.toMatchObject({ reason: "ASSET_NOT_FOUND" });
  });

  it.each([10, mebibyte])(
    "keeps %i staged bytes while it is out of reach, and commits them later",
    async (size) => {
      await using fixture = await openFixture();
      const sha256 = await put(fixture.store, Buffer.from("before"));
      const whole = randomBytes(size);
      await using staged = await fixture.store.stage(bodyOf(whole), size, never);
      await s3.stop();
      try {
        await expectUnavailable(fixture.store, sha256, () => staged.commit(never));
      } finally {
        await s3.start();
      }
      await staged.commit(never);
      expect(await read(fixture.store, staged.sha256)).toEqual(whole);
      expect((await read(fixture.store, sha256)).toString()).toBe("before");
    },
  );

  it.each([10, 2 * mebibyte])("puts %i bytes again after a connection broke off", async (size) => {
    await using fixture = await openFixture();
    const whole = randomBytes(size);
    await using staged = await fixture.store.stage(bodyOf(whole), size, never);
    await s3.stop();
    await s3.start();
    s3.network.cutAfter(1); // both at the answer to HEAD
    s3.network.cutAfter(1);
    await staged.commit(never);
    expect(await read(fixture.store, staged.sha256)).toEqual(whole);
  });

  it("is out of order with credentials that are refused", async () => {
    await using fixture = await openFixture({ accessKeyId: "nobody" });
    await expect(fixture.store.check(never)).rejects.toMatchObject(unavailable);
    await expect(put(fixture.store, Buffer.from("x"))).rejects.toMatchObject(unavailable);
  });

  it("gives up on one that does not answer, or at once if asked to", async () => {
    await using fixture = await openFixture({ silenceTimeoutMs: 150, maxAttempts: 2 });
    s3.network.fallSilent();
    try {
      await expect(fixture.store.check(never)).rejects.toMatchObject(unavailable);
      const signal = AbortSignal.abort(new Error("enough"));
      await expect(fixture.store.check(signal)).rejects.toThrow("enough");
    } finally {
      s3.network.speak();
    }
  });

  it("tries again what fails with a server error, streams too, and signs every body by its hash", async () => {
    await using server = await startScripted([404, 500, 500, 200, 404, 503, 200]);
    await using fixture = await openFixture({ endpoint: server.url });
    for (const size of [10, mebibyte]) {
      const whole = randomBytes(size);
      const sha256 = await put(fixture.store, whole);
      const puts = server.requests.splice(0).filter(({ method }) => method === "PUT");
      expect(puts.length).toBeGreaterThan(1);
      for (const { headers, body } of puts) {
        expect(headers["x-amz-content-sha256"]).toBe(sha256);
        expect(headers["content-length"]).toBe(String(size));
        expect(Object.keys(headers).filter((name) => /checksum|trailer|encoding|expect/.test(name))).toEqual(
          [],
        );
        expect(body).toEqual(whole);
      }
    }
  });

  it("does not repeat what is refused", async () => {
    await using server = await startScripted([404, 403]);
    await using fixture = await openFixture({ endpoint: server.url });
    await expect(put(fixture.store, randomBytes(mebibyte))).rejects.toMatchObject(unavailable);
    expect(server.requests).toHaveLength(2);
  });

  it("puts a blob though it may not know whether it is there", async () => {
    await using server = await startScripted([403, 200]);
    await using fixture = await openFixture({ endpoint: server.url });
    await put(fixture.store, Buffer.from("x"));
    expect(server.requests.map(({ method }) => method)).toEqual(["HEAD", "PUT"]);
  });

  it("takes a page of some other server for an outage, not for a missing asset", async () => {
    await using server = await startScripted([404, 200], "<html>no such page</html>");
    await using fixture = await openFixture({ endpoint: server.url });
    await expect(read(fixture.store, "a".repeat(64))).rejects.toMatchObject(unavailable);
  });
});

async function expectUnavailable(
  store: BlobStore,
  sha256: string,
  commit: () => Promise<void>,
): Promise<void> {
  await expect(store.check(never)).rejects.toMatchObject(unavailable);
  await expect(commit()).rejects.toMatchObject(unavailable);
  await expect(read(store, sha256)).rejects.toMatchObject(unavailable);
  const nothing = { offset: 0, lengthBytes: 0, chunkBytes: 1 };
  await expect(Array.fromAsync(store.read(sha256, nothing, never))).rejects.toMatchObject(unavailable);
  await expect(store.remove(sha256, never)).rejects.toMatchObject(unavailable);
}

interface SeenRequest {
  readonly method: string | undefined;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: Buffer;
}

/** A server that answers with one status after another. */
async function startScripted(statuses: readonly number[], text = "") {
  const requests: SeenRequest[] = [];
  let next = 0;
  const server = createServer(async (request, response) => {
    const { method, headers } = request;
    requests.push({ method, headers, body: Buffer.concat(await Array.fromAsync(request)) });
    response.writeHead(statuses[next++] ?? 500).end(text);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return {
    requests,
    url: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

async function put(store: BlobStore, bytes: Uint8Array): Promise<string> {
  await using staged = await store.stage(bodyOf(bytes), bytes.length, never);
  await staged.commit(never);
  return staged.sha256;
}

async function read(store: BlobStore, sha256: string): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(store.read(sha256, { offset: 0, chunkBytes: 65_536 }, never)));
}

async function* bodyOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
