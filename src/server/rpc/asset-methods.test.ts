import { createHash } from "node:crypto";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { createClient, type Interceptor } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { AssetService as AssetServiceSchema } from "../../../gen/comfyrpc/v1/asset_service_pb.js";
import { envelope } from "../../../test/support/envelopes.ts";
import { connectGrpcJs } from "../../../test/support/grpc-js-client.ts";
import { connectHttp2, readText } from "../../../test/support/http2-client.ts";
import {
  type AssetsFixture,
  inPieces,
  makeLargePng,
  makePng,
  openAssets,
} from "../../../test/support/open-assets.ts";
import { failureOf } from "../../../test/support/rpc-failure.ts";
import { type RpcServer, startRpcServer } from "../../../test/support/start-rpc-server.ts";
import { waitUntil } from "../../../test/support/wait-until.ts";
import { createLogger } from "../../telemetry/logger.ts";
import { createAssetRoute } from "../asset-route.ts";
import { assetServiceRoutes } from "../asset-service-routes.ts";
import { mapErrors } from "../interceptors/map-errors.ts";
import { validateRequests } from "../interceptors/validate.ts";

const proto = "comfyrpc/v1/asset_service.proto";
const path = "/comfyrpc.v1.AssetService/";
const logger = createLogger({ level: "silent" });
const interceptors: Interceptor[] = [mapErrors(logger), validateRequests()];
const sha256Of = (data: Uint8Array) => createHash("sha256").update(data).digest("hex");

function serve({ assets, clock }: AssetsFixture): Promise<RpcServer> {
  return startRpcServer({
    interceptors,
    routes: assetServiceRoutes({ assets }),
    assetRoute: createAssetRoute({ assets, clock, logger, linksOnly: true }),
  });
}

function connect({ url }: RpcServer) {
  return createClient(AssetServiceSchema, createGrpcTransport({ baseUrl: url }));
}

/** An upload as its messages. */
async function* uploadOf(data: Uint8Array, info: object = {}): AsyncGenerator<object> {
  yield { info };
  for await (const piece of inPieces(data, 256 * 1024)) yield { data: piece };
}

describe("assets in grpc-js", () => {
  it("go up in pieces, and come down in pieces from anywhere", async () => {
    await using fixture = await openAssets();
    await using server = await serve(fixture);
    using client = await connectGrpcJs(server.address, proto);
    const png = await makeLargePng(1_000_000);
    const assetId = sha256Of(png);
    const info = { fileName: "füchse.png", sha256: assetId, retention: { seconds: 120 } };
    const asset = {
      assetId,
      mediaType: "image/png",
      sizeBytes: expect.objectContaining({ low: png.length }),
      sha256: assetId,
      fileName: "füchse.png",
      origin: null,
    };
    expect(await client.upload(`${path}UploadAsset`, uploadOf(png, info))).toMatchObject({ asset });

    const download = async (request: object) => {
      const [first, ...rest] = (await Array.fromAsync(
        client.stream(`${path}DownloadAsset`, { assetId, ...request }),
      )) as { asset: unknown; offset: { low: number }; data: Buffer }[];
      expect(first).toMatchObject({ asset, data: { length: 0 } });
      expect(rest.every(({ asset }) => asset === null)).toBe(true);
      return {
        from: first?.offset.low,
        offsets: rest.map(({ offset }) => offset.low),
        pieces: rest.map(({ data }) => data),
      };
    };
    const whole = await download({});
    expect(whole.offsets).toEqual([0, 261_120, 522_240, 783_360]);
    expect(Buffer.concat(whole.pieces).equals(png)).toBe(true);
    const part = await download({ offset: 900_000, limitBytes: 1_000 });
    expect([part.from, ...part.offsets]).toEqual([900_000, 900_000]);
    expect(Buffer.concat(part.pieces).equals(png.subarray(900_000, 901_000))).toBe(true);
    expect((await download({ offset: png.length })).pieces).toEqual([]);
    expect(
      (await download({ offset: png.length - 1, limitBytes: "18446744073709551615" })).pieces,
    ).toHaveLength(1);
    await expect(download({ offset: png.length + 1 })).rejects.toMatchObject({ code: status.OUT_OF_RANGE });
    await expect(download({ offset: "18446744073709551615" })).rejects.toMatchObject({
      code: status.OUT_OF_RANGE,
    });
  });

  it("are not kept if they are only to be checked", async () => {
    await using fixture = await openAssets();
    await using server = await serve(fixture);
    using client = await connectGrpcJs(server.address, proto);
    const png = await makePng();
    const info = { validateOnly: true, fileName: "a.png" };
    const asset = { assetId: sha256Of(png), fileName: "a.png", mediaType: "image/png" };
    expect(await client.upload(`${path}UploadAsset`, uploadOf(png, info))).toMatchObject({ asset });
    expect(await connect(server).createAsset({ info, data: png })).toMatchObject({ asset });
    expect(await fixture.blobFiles()).toEqual([]);
    const refused = connect(server).createAsset({ info, data: Buffer.from("a text") });
    expect(await failureOf(refused)).toMatchObject({ reason: "ASSET_REJECTED" });
  });

  it.each([
    ["begins with data", [{ data: Buffer.from("x") }]],
    ["says twice what it is", [{ info: {} }, { data: Buffer.from("x") }, { info: {} }]],
    ["says nothing", []],
    ["has an empty message", [{ info: {} }, {}]],
  ])("are refused if the upload %s", async (_, messages) => {
    await using fixture = await openAssets();
    await using server = await serve(fixture);
    using client = await connectGrpcJs(server.address, proto);
    async function* sent() {
      yield* messages;
    }
    await expect(client.upload(`${path}UploadAsset`, sent())).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
    });
    expect(await fixture.blobFiles()).toEqual([]);
  });

  it("are refused while they are still being sent if they are too large", async () => {
    await using fixture = await openAssets({ maxUploadBytes: 1_000_000 });
    await using server = await serve(fixture);
    using client = await connectGrpcJs(server.address, proto);
    const upload = client.upload(`${path}UploadAsset`, uploadOf(Buffer.alloc(16 * 1024 * 1024)));
    await expect(upload).rejects.toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
      details: expect.stringContaining("1000000 bytes"),
    });
    expect(await fixture.blobFiles()).toEqual([]);
  });
});

describe("an upload", () => {
  it("that its caller gives up leaves nothing behind", async () => {
    await using fixture = await openAssets();
    await using server = await serve(fixture);
    const caller = new AbortController();
    async function* endless() {
      yield { part: { case: "info" as const, value: {} } };
      for (;;) {
        yield { part: { case: "data" as const, value: new Uint8Array(100_000) } };
        if ((await fixture.blobFiles()).length > 0) break;
      }
      caller.abort();
      await new Promise(() => {});
    }
    const upload = connect(server).uploadAsset(endless(), { signal: caller.signal });
    await expect(upload).rejects.toThrow();
    await waitUntil(async () => (await fixture.blobFiles()).length === 0, "what was staged is gone");
  });

  it("that falls silent ends with its deadline", async () => {
    await using fixture = await openAssets();
    await using server = await serve(fixture);
    using session = await connectHttp2(server.url);
    const stream = session.request({
      ":method": "POST",
      ":path": `${path}UploadAsset`,
      "content-type": "application/connect+json",
      "connect-timeout-ms": "200",
    });
    stream.on("error", () => {}); // the rest of the upload is not wanted any more
    stream.write(envelope(Buffer.from('{"info":{}}')));
    expect(await readText(stream)).toContain("deadline_exceeded");
  });

  it.each([
    ["gRPC-Web over HTTP/1.1", (baseUrl: string) => createGrpcWebTransport({ baseUrl, httpVersion: "1.1" })],
    [
      "Connect in JSON",
      (baseUrl: string) => createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false }),
    ],
  ])("can be made in one message: %s", async (_, transport) => {
    await using fixture = await openAssets();
    await using server = await serve(fixture);
    const client = createClient(AssetServiceSchema, transport(server.url));
    const data = await makePng();
    const { asset } = await client.createAsset({ data, info: { fileName: "a.png" } });
    expect(asset).toMatchObject({ assetId: sha256Of(data), fileName: "a.png", widthPx: 8 });
    expect(asset?.createTime && timestampDate(asset.createTime)).toEqual(fixture.clock.now());
    expect((await client.createAsset({ data })).asset).toEqual(asset);
    expect((await client.getAsset({ assetId: sha256Of(data) })).asset).toEqual(asset);
  });

  it("is refused by what it says and by what it is", async () => {
    await using fixture = await openAssets();
    await using server = await serve(fixture);
    const client = connect(server);
    const data = await makePng();
    const fields = async (call: Promise<unknown>) => (await failureOf(call)).fields;
    expect(await fields(client.createAsset({}))).toEqual(["data"]);
    expect(await fields(client.createAsset({ data, info: { fileName: "a/b" } }))).toEqual(["info.file_name"]);
    expect(await fields(client.createAsset({ data, info: { sha256: "x" } }))).toEqual(["info.sha256"]);
    const short = { retention: { seconds: 1n } };
    expect(await fields(client.createAsset({ data, info: short }))).toEqual(["info.retention"]);
    const long = { retention: { seconds: 7_201n } };
    expect(await fields(client.createAsset({ data, info: long }))).toEqual(["info.retention"]);
    expect(await failureOf(client.createAsset({ data: Buffer.from("text") }))).toMatchObject({
      code: "InvalidArgument",
      reason: "ASSET_REJECTED",
    });
  });
});

describe("GetAsset, DownloadAsset and SignAssetUrl", () => {
  it("do not find what is not there", async () => {
    await using fixture = await openAssets();
    await using server = await serve(fixture);
    const client = connect(server);
    const assetId = "0".repeat(64);
    const calls = [
      client.getAsset({ assetId }),
      Array.fromAsync(client.downloadAsset({ assetId })),
      client.signAssetUrl({ assetId }),
    ];
    for (const call of calls) {
      expect(await failureOf(call)).toMatchObject({ code: "NotFound", reason: "ASSET_NOT_FOUND" });
    }
    expect(await failureOf(client.getAsset({ assetId: "fox" }))).toMatchObject({ fields: ["asset_id"] });
  });

  it("tell where an image comes from", async () => {
    await using fixture = await openAssets();
    await using server = await serve(fixture);
    const client = connect(server);
    const { asset } = await client.createAsset({ data: await makePng() });
    const record = await fixture.assets.get(asset?.assetId ?? "", { tenant: "" }, AbortSignal.timeout(5_000));
    const origin = {
      jobId: "0d9a0f6a-7b1c-4e5d-8f00-123456789abc",
      imageIndex: 2,
      nodeId: "9",
      seed: 2n ** 64n - 1n,
    };
    await fixture.store.put({ ...record, id: "ab".repeat(32), origin }, AbortSignal.timeout(5_000));
    expect((await client.getAsset({ assetId: "ab".repeat(32) })).asset).toMatchObject({ origin });
  });

  it("make a link that gives the bytes to anybody for a while", async () => {
    await using fixture = await openAssets();
    await using server = await serve(fixture);
    const client = connect(server);
    const data = await makePng();
    const { asset } = await client.createAsset({ data });
    const assetId = asset?.assetId ?? "";
    const { url, expireTime } = await client.signAssetUrl({ assetId, ttl: { seconds: 30n } });
    const remainingMs =
      (expireTime ? timestampDate(expireTime).getTime() : 0) - fixture.clock.now().getTime();
    expect(remainingMs).toBeGreaterThanOrEqual(30_000);
    expect(remainingMs).toBeLessThan(31_000);
    const response = await fetch(server.url + url);
    expect(Buffer.from(await response.arrayBuffer()).equals(data)).toBe(true);
    const { expireTime: usual } = await client.signAssetUrl({ assetId });
    expect((usual ? timestampDate(usual).getTime() : 0) - fixture.clock.now().getTime()).toBeGreaterThan(
      3_599_000,
    );
    for (const ttl of [{ seconds: 0n }, { seconds: 604_801n }, { seconds: 5n, nanos: -1 }]) {
      expect(await failureOf(client.signAssetUrl({ assetId, ttl }))).toMatchObject({ fields: ["ttl"] });
    }
    fixture.clock.advance(31_000);
    expect((await fetch(server.url + url)).status).toBe(403);
  });
});
