import { once } from "node:events";
import { Agent, request as http1Request, type IncomingHttpHeaders } from "node:http";
import { buffer } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connectHttp2 } from "../../test/support/http2-client.ts";
import {
  type AssetsFixture,
  inPieces,
  makeLargePng,
  makePng,
  never,
  openAssets,
  owner,
  plainUpload,
} from "../../test/support/open-assets.ts";
import { connectRaw } from "../../test/support/raw-client.ts";
import {
  type RpcServer,
  type RpcServerOptions,
  startRpcServer,
} from "../../test/support/start-rpc-server.ts";
import { waitUntil } from "../../test/support/wait-until.ts";
import { ServiceError } from "../domain/errors.ts";
import type { AssetRecord } from "../storage/asset-store.ts";
import { createLogger } from "../telemetry/logger.ts";
import { type AssetRouteOptions, createAssetRoute } from "./asset-route.ts";

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

type Ask = (
  server: RpcServer,
  path: string,
  headers?: Record<string, string>,
  method?: string,
) => Promise<Answer>;

const agent = new Agent({ keepAlive: true });
afterAll(() => agent.destroy());

const versions: Record<string, Ask> = {
  "HTTP/1.1": async ({ port }, path, headers = {}, method = "GET") => {
    const req = http1Request({ host: "127.0.0.1", port, path, method, headers, agent }).end();
    const [res] = await once(req, "response");
    return { status: res.statusCode, headers: res.headers, body: await buffer(res) };
  },
  "HTTP/2": async ({ url }, path, headers = {}, method = "GET") => {
    using session = await connectHttp2(url);
    const stream = session.request({ ":path": path, ":method": method, ...headers });
    stream.end();
    const [answer] = await once(stream, "response");
    return { status: answer[":status"], headers: answer, body: await buffer(stream) };
  },
};

const logger = createLogger({ level: "silent" });

function serve(
  fixture: AssetsFixture,
  options: Partial<AssetRouteOptions> = {},
  serverOptions: RpcServerOptions = {},
): Promise<RpcServer> {
  const { assets, clock } = fixture;
  const assetRoute = createAssetRoute({ assets, clock, logger, linksOnly: false, ...options });
  return startRpcServer({ ...serverOptions, assetRoute });
}

describe.each(Object.entries(versions))("an asset over %s", (_, ask) => {
  let fixture: AssetsFixture;
  let server: RpcServer;
  let data: Buffer;
  let asset: AssetRecord;
  let path: string;
  beforeAll(async () => {
    fixture = await openAssets();
    server = await serve(fixture);
    data = await makeLargePng(200_000);
    asset = await fixture.assets.upload(
      inPieces(data),
      { ...plainUpload, fileName: "fox.png" },
      owner,
      never,
    );
    path = `/assets/${asset.id}`;
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    await fixture[Symbol.asyncDispose]();
  });

  it("comes whole, with all that a cache and a browser need", async () => {
    const { status, headers, body } = await ask(server, path);
    expect(status).toBe(200);
    expect(headers).toMatchObject({
      etag: `"${asset.id}"`,
      "accept-ranges": "bytes",
      "cache-control": "private, max-age=3600, immutable",
      "content-type": "image/png",
      "content-length": `${data.length}`,
      "content-disposition": "inline; filename=fox.png",
      "content-security-policy": "default-src 'none'; sandbox",
      "x-content-type-options": "nosniff",
      "cross-origin-resource-policy": "same-site",
      "x-request-id": expect.any(String),
    });
    expect(body.equals(data)).toBe(true);
  });

  it("has the same head without its bytes", async () => {
    const { status, headers, body } = await ask(server, path, { range: "bytes=0-9" }, "HEAD");
    expect([status, headers["content-length"], body.length]).toEqual([200, `${data.length}`, 0]);
    expect(headers).toMatchObject({ etag: `"${asset.id}"`, "content-type": "image/png" });
  });

  it.each([
    ["bytes=0-99", 0, 100],
    ["bytes=100-", 100, undefined],
    ["bytes=-100", -100, undefined],
    ["bytes=0-99999999999", 0, undefined],
    ["bytes=0-0", 0, 1],
    ["BYTES=5-5,", 5, 6],
  ])("comes in part: %s", async (range, start, end) => {
    const expected = data.subarray(start, end);
    const first = data.length - data.subarray(start).length;
    const { status, headers, body } = await ask(server, path, { range });
    expect(status).toBe(206);
    expect(headers["content-range"]).toBe(`bytes ${first}-${first + expected.length - 1}/${data.length}`);
    expect(headers["content-length"]).toBe(`${expected.length}`);
    expect(body.equals(expected)).toBe(true);
  });

  it.each(["bytes=0-1,3-4", "bytes=5-4", "bytes=a-b", "lines=0-1", "bytes", "bytes=", "bytes=--1"])(
    "comes whole where the range is several or none: %s",
    async (range) => {
      const { status, headers, body } = await ask(server, path, { range });
      expect([status, headers["content-range"], body.length]).toEqual([200, undefined, data.length]);
    },
  );

  it.each(["bytes=200000000-", "bytes=-0", "bytes=200000000-200000001"])(
    "has no such part: %s",
    async (range) => {
      const { status, headers, body } = await ask(server, path, { range });
      expect([status, headers["content-range"]]).toEqual([416, `bytes */${data.length}`]);
      expect(JSON.parse(body.toString())).toEqual({ code: "out_of_range", message: expect.any(String) });
      expect(headers["cache-control"]).toBe("no-store");
    },
  );

  it("is not sent again to who has it", async () => {
    for (const tag of [`"${asset.id}"`, `W/"${asset.id}"`, `"x", "${asset.id}"`, "*"]) {
      const { status, headers, body } = await ask(server, path, { "if-none-match": tag });
      expect([status, body.length]).toEqual([304, 0]);
      expect(headers).toMatchObject({
        etag: `"${asset.id}"`,
        "cache-control": expect.stringContaining("3600"),
      });
      expect(headers["content-type"]).toBeUndefined();
    }
    const { status } = await ask(server, path, { "if-none-match": '"x"' });
    expect(status).toBe(200);
  });

  it("is not cut where the part that the client has is of something else", async () => {
    const range = "bytes=10-";
    const same = await ask(server, path, { range, "if-range": `"${asset.id}"` });
    expect([same.status, same.body.length]).toEqual([206, data.length - 10]);
    for (const ifRange of ['"x"', `W/"${asset.id}"`, "Wed, 21 Oct 2015 07:28:00 GMT"]) {
      const other = await ask(server, path, { range, "if-range": ifRange });
      expect([other.status, other.body.length]).toEqual([200, data.length]);
    }
  });

  it.each([
    ["/assets/", 404, "not_found"],
    ["/assets/fox.png", 404, "not_found"],
    [`/assets/${"0".repeat(64)}`, 404, "not_found"],
    [`/assets/${"0".repeat(64)}/x`, 404, "not_found"],
  ])("is not found at %s", async (elsewhere, expected, code) => {
    const { status, headers, body } = await ask(server, elsewhere);
    expect(status).toBe(expected);
    expect(headers["content-type"]).toBe("application/json");
    expect(headers["cache-control"]).toBe("no-store");
    expect(JSON.parse(body.toString())).toEqual({ code, message: expect.stringContaining("no such asset") });
  });

  it.each(["POST", "PUT", "DELETE", "OPTIONS"])("does not take %s", async (method) => {
    const { status, headers } = await ask(server, path, {}, method);
    expect([status, headers.allow]).toEqual([405, "GET, HEAD"]);
  });
});

describe("a signed link", () => {
  it("works for its time, for its asset, and in pages of other sites", async () => {
    await using fixture = await openAssets();
    await using server = await serve(fixture, { linksOnly: true });
    const [a, b] = await Promise.all(
      ["#c00", "#0c0"].map(async (colour) =>
        fixture.assets.upload(inPieces(await makePng(8, 8, colour)), plainUpload, owner, never),
      ),
    );
    const { url } = await fixture.assets.sign(a?.id ?? "", 60_000, owner, never);
    const response = await fetch(server.url + url);
    expect(response.status).toBe(200);
    expect(response.headers.get("cross-origin-resource-policy")).toBe("cross-origin");
    expect(response.headers.get("cache-control")).toMatch(/^private, max-age=60, immutable$/);
    expect((await response.arrayBuffer()).byteLength).toBe(a?.sizeBytes);

    const refusals = async (link: string) => {
      const { status, headers, body } = await fetch(server.url + link).then(async (answer) => ({
        status: answer.status,
        headers: answer.headers,
        body: (await answer.json()) as unknown,
      }));
      expect([status, headers.get("cache-control")]).toEqual([403, "no-store"]);
      return body;
    };
    const invalid = {
      code: "permission_denied",
      message: expect.stringContaining("not valid for this asset"),
    };
    expect(await refusals(url.replace(a?.id ?? "", b?.id ?? ""))).toEqual(invalid);
    expect(await refusals(url.replace(/expires=\d/, "expires=9"))).toEqual(invalid);
    expect(await refusals(url.replace(/&signature.*/, ""))).toEqual(invalid);
    expect(await refusals(url.replace(/signature=./, "signature=*"))).toEqual(invalid);
    expect(await refusals(`/assets/${a?.id}`)).toEqual({
      code: "permission_denied",
      message: expect.stringContaining("signed links only"),
    });

    fixture.clock.advance(61_000);
    expect(await refusals(url)).toEqual({
      code: "permission_denied",
      message: expect.stringContaining("has expired"),
    });
  });

  it("must be good even where none is needed", async () => {
    await using fixture = await openAssets();
    await using server = await serve(fixture);
    const { id } = await fixture.assets.upload(inPieces(await makePng()), plainUpload, owner, never);
    const status = async (query: string) => (await fetch(`${server.url}/assets/${id}${query}`)).status;
    expect(await status("")).toBe(200);
    expect(await status("?width=3")).toBe(200);
    expect(await status("?expires=99999999999&signature=x")).toBe(403);
  });

  it("to nothing tells nothing unless it is good", async () => {
    await using fixture = await openAssets();
    await using server = await serve(fixture, { linksOnly: true });
    expect((await fetch(`${server.url}/assets/${"0".repeat(64)}`)).status).toBe(403);
  });
});

describe("caches", () => {
  it("keep an asset no longer than the service does", async () => {
    await using fixture = await openAssets();
    await using server = await serve(fixture);
    const { id } = await fixture.assets.upload(inPieces(await makePng()), plainUpload, owner, never);
    const cacheControl = async () => (await fetch(`${server.url}/assets/${id}`)).headers.get("cache-control");
    fixture.clock.advance(3_599_000);
    expect(await cacheControl()).toBe("private, max-age=1, immutable");
    fixture.clock.advance(1_000);
    expect((await fetch(`${server.url}/assets/${id}`)).status).toBe(404);
  });

  it("ask each time for one whose time has come, and which only a job keeps", async () => {
    await using fixture = await openAssets();
    const { assets } = fixture;
    const asset = await assets.upload(inPieces(await makePng()), plainUpload, owner, never);
    const kept = {
      get: async () => ({ ...asset, expireTime: fixture.clock.now() }),
      open: assets.open.bind(assets),
      checkLink: assets.checkLink.bind(assets),
    };
    await using server = await serve(fixture, { assets: kept });
    const response = await fetch(`${server.url}/assets/${asset.id}`);
    expect(response.headers.get("cache-control")).toBe("private, no-cache");
  });
});

describe("the name under which a browser saves it", () => {
  it.each([
    ["fuchs.png", "inline; filename=fuchs.png"],
    ['a "b".png', 'inline; filename="a \\"b\\".png"'],
    ["füchse 🦊.png", "inline; filename=\"f?chse ??.png\"; filename*=UTF-8''f%C3%BCchse%20%F0%9F%A6%8A.png"],
    ["cod\u202egnp.exe", "inline; filename=codgnp.exe"],
    ["a\ud800b.png", "inline; filename=ab.png"],
    ["a\r\nset-cookie: x", 'inline; filename="aset-cookie: x"'],
    ["../a\\b", "inline; filename=..ab"],
    ["\u200b", /^inline; filename="?[0-9a-f]{16}\.png"?$/],
    ["", /^inline; filename="?[0-9a-f]{16}\.png"?$/],
  ])("is safe: %j", async (fileName, expected) => {
    await using fixture = await openAssets();
    const { id } = await fixture.assets.upload(inPieces(await makePng()), plainUpload, owner, never);
    const { assets } = fixture;
    const named = {
      get: async () => ({ ...(await assets.get(id, owner, never)), fileName }),
      open: assets.open.bind(assets),
      checkLink: assets.checkLink.bind(assets),
    };
    await using server = await serve(fixture, { assets: named });
    const response = await fetch(`${server.url}/assets/${id}`, { method: "HEAD" });
    expect(response.headers.get("content-disposition")).toEqual(
      typeof expected === "string" ? expected : expect.stringMatching(expected),
    );
  });

  it("is that of the job for an image that a job made", async () => {
    await using fixture = await openAssets();
    const asset = await fixture.assets.upload(inPieces(await makePng()), plainUpload, owner, never);
    const origin = { jobId: "0d9a0f6a-7b1c-4e5d-8f00-123456789abc", imageIndex: 2, nodeId: "9", seed: 1n };
    const { assets } = fixture;
    const made = {
      get: async () => ({ ...asset, origin, mediaType: "image/jpeg" }),
      open: assets.open.bind(assets),
      checkLink: assets.checkLink.bind(assets),
    };
    await using server = await serve(fixture, { assets: made });
    const response = await fetch(`${server.url}/assets/${asset.id}`, { method: "HEAD" });
    expect(response.headers.get("content-disposition")).toContain(`${origin.jobId}-2.jpg`);
  });
});

describe("what a workflow left", () => {
  it.each([
    ["video/mp4", "video/mp4", /^inline; filename="?[0-9a-f]{16}\.mp4"?$/],
    ["audio/flac", "audio/flac", /^inline; /],
    ["image/svg+xml", "image/svg+xml", /^attachment; /],
    ["text/html", "text/html; charset=utf-8", /^attachment; /],
    ["text/plain", "text/plain; charset=utf-8", /^attachment; filename="?[0-9a-f]{16}\.txt"?$/],
    ["application/octet-stream", "application/octet-stream", /^attachment; .*\.bin"?$/],
  ])("of type %s is shown only if that is safe", async (mediaType, contentType, disposition) => {
    await using fixture = await openAssets();
    const asset = await fixture.assets.upload(inPieces(await makePng()), plainUpload, owner, never);
    const { assets } = fixture;
    const left = {
      get: async () => ({ ...asset, origin: { jobId: "j", nodeId: "9" }, mediaType }),
      open: assets.open.bind(assets),
      checkLink: assets.checkLink.bind(assets),
    };
    await using server = await serve(fixture, { assets: left });
    const { headers } = await fetch(`${server.url}/assets/${asset.id}`, { method: "HEAD" });
    expect(headers.get("content-type")).toBe(contentType);
    expect(headers.get("content-disposition")).toMatch(disposition);
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    expect(headers.get("content-security-policy")).toBe("default-src 'none'; sandbox");
  });
});

describe("scripts of other origins", () => {
  it("that are allowed may ask for parts and read all headers", async () => {
    await using fixture = await openAssets();
    const origin = "https://app.example.com";
    await using server = await serve(fixture, {}, { corsOrigins: [origin] });
    const { id } = await fixture.assets.upload(inPieces(await makePng()), plainUpload, owner, never);
    const preflight = await fetch(`${server.url}/assets/${id}`, {
      method: "OPTIONS",
      headers: {
        origin,
        "access-control-request-method": "GET",
        "access-control-request-headers": "if-range",
      },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get("access-control-allow-headers")).toContain("If-Range");
    const response = await fetch(`${server.url}/assets/${id}`, { headers: { origin, range: "bytes=0-1" } });
    expect(response.status).toBe(206);
    expect(response.headers.get("access-control-allow-origin")).toBe(origin);
    expect(response.headers.get("vary")).toBe("Origin");
    for (const name of ["ETag", "Content-Range", "Content-Length"]) {
      expect(response.headers.get("access-control-expose-headers")).toContain(name);
    }
  });
});

describe("a store that fails", () => {
  const broken = (error: unknown): AssetRouteOptions["assets"] => ({
    get: () => Promise.reject(error),
    checkLink: async () => undefined,
    // biome-ignore lint/correctness/useYield: it fails before it could
    async *open() {
      throw error;
    },
  });

  it("is told, with when to try again", async () => {
    await using fixture = await openAssets();
    const unavailable = new ServiceError("STORE_UNAVAILABLE", "out of reach", { retryAfterMs: 2_500 });
    await using server = await serve(fixture, { assets: broken(unavailable) });
    const response = await fetch(`${server.url}/assets/${"0".repeat(64)}`);
    expect([response.status, response.headers.get("retry-after")]).toEqual([503, "3"]);
    expect(await response.json()).toEqual({ code: "unavailable", message: "out of reach" });
  });

  it("is told before the first byte as well", async () => {
    await using fixture = await openAssets();
    const asset = await fixture.assets.upload(inPieces(await makePng()), plainUpload, owner, never);
    const gone = new ServiceError("ASSET_NOT_FOUND", "there is no such asset");
    await using server = await serve(fixture, { assets: { ...broken(gone), get: async () => asset } });
    const response = await fetch(`${server.url}/assets/${asset.id}`);
    expect([
      response.status,
      response.headers.get("etag"),
      response.headers.get("content-disposition"),
    ]).toEqual([404, null, null]);
    expect(await response.json()).toMatchObject({ code: "not_found" });
  });

  it("breaks off what has begun, so that nobody takes it for the whole", async () => {
    await using fixture = await openAssets();
    const data = await makeLargePng(200_000);
    const asset = await fixture.assets.upload(inPieces(data), plainUpload, owner, never);
    const assets = {
      ...broken(new Error("unused")),
      get: async () => asset,
      async *open() {
        yield new Uint8Array(data.subarray(0, 1_000));
        throw new Error("the disk is gone");
      },
    };
    await using server = await serve(fixture, { assets });
    for (const ask of Object.values(versions)) {
      await expect(ask(server, `/assets/${asset.id}`)).rejects.toThrow();
    }
  });

  it("says nothing of a fault but where to look", async () => {
    await using fixture = await openAssets();
    await using server = await serve(fixture, { assets: broken(new Error("ENOENT /var/secret")) });
    const response = await fetch(`${server.url}/assets/${"0".repeat(64)}`, {
      headers: { "x-request-id": "call-1" },
    });
    expect(response.status).toBe(500);
    const text = await response.text();
    expect(text).toContain("request id call-1");
    expect(text).not.toContain("secret");
  });
});

describe("a client that does not read on", () => {
  const sizeBytes = 16 * 1024 * 1024;

  /** Assets whose readings are counted. */
  async function openCounted() {
    const fixture = await openAssets({ maxUploadPixels: 100_000_000 });
    const data = await makeLargePng(sizeBytes);
    const asset = await fixture.assets.upload(inPieces(data), plainUpload, owner, never);
    const counts = { openReads: 0, readBytes: 0 };
    const { assets } = fixture;
    const counted: AssetRouteOptions["assets"] = {
      get: assets.get.bind(assets),
      checkLink: assets.checkLink.bind(assets),
      async *open(...args) {
        counts.openReads += 1;
        try {
          for await (const chunk of assets.open(...args)) {
            counts.readBytes += chunk.length;
            yield chunk;
          }
        } finally {
          counts.openReads -= 1;
        }
      },
    };
    return { fixture, asset, counts, counted, [Symbol.asyncDispose]: () => fixture[Symbol.asyncDispose]() };
  }

  async function untilStill(counts: { readonly readBytes: number }): Promise<void> {
    await waitUntil(async () => {
      const before = counts.readBytes;
      await new Promise((resolve) => setTimeout(resolve, 100));
      return before > 0 && before === counts.readBytes;
    }, "nothing more is read");
  }

  it("over HTTP/1.1 holds little, and nothing once it is gone", async () => {
    await using opened = await openCounted();
    await using server = await serve(opened.fixture, { assets: opened.counted });
    using client = await connectRaw(server.port);
    client.socket.pause();
    client.socket.write(`GET /assets/${opened.asset.id} HTTP/1.1\r\nHost: a\r\n\r\n`);
    await untilStill(opened.counts);
    expect(opened.counts.openReads).toBe(1);
    expect(opened.counts.readBytes).toBeLessThan(sizeBytes / 2); // what the buffers of the two sockets take
    client.socket.destroy();
    await waitUntil(() => opened.counts.openReads === 0, "the asset is closed");
  });

  it("over HTTP/2 holds little, and nothing once it is gone", async () => {
    await using opened = await openCounted();
    await using server = await serve(opened.fixture, { assets: opened.counted });
    using session = await connectHttp2(server.url);
    const streams = Array.from({ length: 20 }, () =>
      session.request({ ":path": `/assets/${opened.asset.id}` }),
    );
    for (const stream of streams) stream.on("error", () => {});
    await Promise.all(streams.map((stream) => once(stream, "response")));
    await untilStill(opened.counts);
    expect(opened.counts.openReads).toBe(20);
    expect(opened.counts.readBytes).toBeLessThan(20 * 512 * 1024);
    for (const stream of streams.slice(0, 10)) stream.close();
    await waitUntil(() => opened.counts.openReads === 10, "the assets of closed streams are closed");
    session.destroy();
    await waitUntil(() => opened.counts.openReads === 0, "all assets are closed");
  });

  it("is cut off when the grace time of a shutdown is over", async () => {
    await using opened = await openCounted();
    await using server = await serve(opened.fixture, { assets: opened.counted });
    using session = await connectHttp2(server.url);
    const stream = session.request({ ":path": `/assets/${opened.asset.id}` });
    stream.on("error", () => {});
    await once(stream, "response");
    await server.listener.drain(0, AbortSignal.timeout(10_000));
    expect(opened.counts.openReads).toBe(0);
  });
});

it("without an asset route there is nothing at its path", async () => {
  await using server = await startRpcServer();
  const response = await fetch(`${server.url}/assets/${"0".repeat(64)}`);
  expect(response.status).toBe(404);
  expect(await response.json()).toMatchObject({ code: "unimplemented" });
});
