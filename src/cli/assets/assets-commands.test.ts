import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import type { SignAssetUrlRequest, UploadInfo } from "../../../gen/comfyrpc/v1/asset_service_pb.js";
import { ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.js";
import { captureIo } from "../testing/capture-io.ts";
import { onStage } from "../testing/on-stage.ts";
import { runCli } from "../testing/run-cli.ts";
import { assetIdOf, assetOf, downloadOf } from "../testing/staged-assets.ts";
import { type StagedMethods, type StagedService, startStagedService } from "../testing/staged-service.ts";

const data = Buffer.alloc(1_000_000, "abcdefg");
const assetId = assetIdOf(data);

interface Upload {
  info: UploadInfo | undefined;
  readonly pieces: Uint8Array[];
}

/** A service that keeps what is uploaded. */
function keeping(upload: Upload): StagedMethods {
  return {
    async uploadAsset(requests) {
      for await (const { part } of requests) {
        if (part.case === "info") upload.info = part.value;
        if (part.case === "data") upload.pieces.push(part.value);
      }
      return {
        asset: assetOf(Buffer.concat(upload.pieces), {
          expireTime: timestampFromMs(Date.now() + 86_400_000),
        }),
      };
    },
  };
}

describe("assets put", () => {
  it("uploads a file in pieces with its name and SHA-256, and prints its id", async () => {
    const upload: Upload = { info: undefined, pieces: [] };
    await onStage(keeping(upload), async ({ run, directory }) => {
      const path = join(directory.path, "fox.png");
      await writeFile(path, data);
      const { exitCode, out, err } = await run(["assets", "put", path]);
      expect({ exitCode, out }).toEqual({ exitCode: 0, out: `${assetId}\n` });
      expect(err).toMatch(/^512x512 image\/png, 976\.6 KiB, kept until .*Z, in 2[34]h\d\dm\n$/);
      expect(upload.info).toMatchObject({ fileName: "fox.png", sha256: assetId, stripMetadata: false });
      expect(Buffer.concat(upload.pieces)).toEqual(data);
      expect(Math.max(...upload.pieces.map((piece) => piece.byteLength))).toBeLessThanOrEqual(256 * 1024);
    });
  });

  it("sends every option, and reads standard input for -", async () => {
    const upload: Upload = { info: undefined, pieces: [] };
    await onStage(keeping(upload), async ({ run }) => {
      const flags = `--name fox.jpg --sha256 ${assetId.toUpperCase()} --strip-metadata --retention 7d --json`;
      const io = captureIo({ input: [data.subarray(0, 600_000), data.subarray(600_000)] });
      const { exitCode, out, err } = await run(["assets", "put", "-", ...flags.split(" ")], io);
      expect({ exitCode, err }).toEqual({ exitCode: 0, err: "" });
      expect(JSON.parse(out)).toMatchObject({ assetId, sizeBytes: "1000000" });
      expect(upload.info).toMatchObject({
        fileName: "fox.jpg",
        sha256: assetId,
        stripMetadata: true,
        retention: { seconds: 604_800n },
      });
      expect(Buffer.concat(upload.pieces)).toEqual(data);
    });
  });

  it("only has it checked if so told", async () => {
    const upload: Upload = { info: undefined, pieces: [] };
    await onStage(keeping(upload), async ({ run }) => {
      const { out, err } = await run(["assets", "put", "-", "--check"], captureIo({ input: [data] }));
      expect(upload.info?.validateOnly).toBe(true);
      expect({ out, err }).toEqual({
        out: `${assetId}\n`,
        err: expect.stringContaining(", would be kept until "),
      });
    });
  });

  it("says nothing of name and SHA-256 where it knows none", async () => {
    const upload: Upload = { info: undefined, pieces: [] };
    await onStage(keeping(upload), async ({ run }) => {
      await run(["assets", "put", "-"], captureIo({ input: [data] }));
      expect(upload.info).toMatchObject({ fileName: "", sha256: "" });
      expect(upload.info?.retention).toBeUndefined();
    });
  });

  it("stops reading when the service has seen enough, and says why", async () => {
    let readCount = 0;
    function* endless() {
      for (;;) {
        readCount++;
        yield data;
      }
    }
    const uploadAsset: StagedMethods["uploadAsset"] = async (requests) => {
      for await (const { part } of requests) if (part.case === "data") break;
      throw new ConnectError("above 20 MiB", Code.ResourceExhausted, undefined, [
        { desc: ErrorInfoSchema, value: { reason: "ASSET_TOO_LARGE" } },
      ]);
    };
    await using service = await startStagedService({ uploadAsset });
    // What is still under way is left to the service to refuse, which the staged one does not: so not until it is idle.
    const args = ["assets", "put", "-", "--server", service.address];
    const { exitCode, out, err } = await runCli(args, { io: captureIo({ input: endless() }) });
    expect({ exitCode, out, err }).toEqual({
      exitCode: 5,
      out: "",
      err: "error: ASSET_TOO_LARGE: above 20 MiB\n",
    });
    expect(readCount).toBeLessThan(50);
  });

  it("refuses a file that cannot be read", async () => {
    const { exitCode, err } = await runCli(["assets", "put", "no-such-file.png"]);
    expect(exitCode).toBe(2);
    expect(err).toMatch(/^error: cannot read no-such-file\.png: ENOENT/);
  });

  it("ends with 130 at Ctrl-C", async () => {
    const abort = new AbortController();
    const uploadAsset: StagedMethods["uploadAsset"] = async (_, { signal }) => {
      abort.abort();
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      return {};
    };
    await onStage({ uploadAsset }, async ({ run }) => {
      const { exitCode, err } = await run(["assets", "put", "-"], captureIo({ input: [data] }), abort.signal);
      expect({ exitCode, err }).toEqual({ exitCode: 130, err: "stopped\n" });
    });
  });
});

describe("assets get", () => {
  const whole: StagedMethods = {
    async *downloadAsset(request) {
      yield* downloadOf(data, request, assetOf(data, { fileName: "../../.fox\u0007.png" }));
    },
  };

  it("saves under the name of the asset, made harmless, in a directory", async () => {
    await onStage(whole, async ({ run, directory }) => {
      const { exitCode, out, err } = await run(["assets", "get", assetId, "--out", directory.path]);
      expect({ exitCode, err }).toEqual({ exitCode: 0, err: "" });
      expect(await directory.list()).toEqual(["_.._.fox .png"]);
      expect(await readFile(out.trimEnd())).toEqual(data);
    });
  });

  it("saves under the name that was given, whatever its extension", async () => {
    await onStage(whole, async ({ run, directory }) => {
      for (const name of ["fox.gif", "fox"]) {
        const path = join(directory.path, name);
        expect((await run(["assets", "get", assetId, "-o", path])).out).toBe(`${path}\n`);
        expect(await readFile(path)).toEqual(data);
        const again = await run(["assets", "get", assetId, "-o", path]);
        expect(again).toMatchObject({ exitCode: 2, out: "" });
        expect(again.err).toContain("exists; choose another name");
        expect((await run(["assets", "get", assetId, "-o", path, "--overwrite"])).exitCode).toBe(0);
      }
      expect(await directory.list()).toEqual(["fox", "fox.gif"]);
    });
  });

  it("names what has no name by the start of its id", async () => {
    const downloadAsset: StagedMethods["downloadAsset"] = async function* (request) {
      yield* downloadOf(data, request, assetOf(data, { mediaType: "image/gif" }));
    };
    await onStage({ downloadAsset }, async ({ run, directory }) => {
      await run(["assets", "get", assetId, "--out", `${directory.path}/new/`]);
      expect(await directory.list()).toEqual(["new", `new/${assetId.slice(0, 16)}.gif`]);
    });
  });

  it("writes the bytes alone to standard output for -, unless that is a terminal", async () => {
    await onStage(whole, async ({ run }) => {
      const io = captureIo();
      const { exitCode, err } = await run(["assets", "get", assetId, "--out", "-"], io);
      expect({ exitCode, err }).toEqual({ exitCode: 0, err: "" });
      expect(io.outBytes()).toEqual(data);
      const refused = await run(["assets", "get", assetId, "--out", "-"], captureIo({ columns: 80 }));
      expect(refused).toMatchObject({ exitCode: 2, out: "" });
      expect(refused.err).toContain("terminal");
    });
  });

  it("goes on with the byte after the last when the connection is lost", async () => {
    const offsets: bigint[] = [];
    let service: StagedService | undefined;
    const downloadAsset: StagedMethods["downloadAsset"] = async function* (request, { signal }) {
      offsets.push(request.offset);
      const responses = downloadOf(data, request);
      if (offsets.length > 2) return yield* responses;
      yield* responses.slice(0, 4);
      await io.outBytesAre(Number(request.offset) + 300_000, AbortSignal.timeout(10_000));
      service?.dropConnections();
      await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    };
    const io = captureIo();
    await onStage({ downloadAsset }, async (stage) => {
      service = stage.service;
      const { exitCode, err } = await stage.run(["assets", "get", assetId, "--out", "-"], io);
      expect(exitCode, err).toBe(0);
      expect(io.outBytes()).toEqual(data);
      expect(offsets).toEqual([0n, 300_000n, 600_000n]);
      expect(err.match(/connection lost, trying again/g)).toHaveLength(2);
    });
  });

  it.each([
    ["a part is missing", (all: ReturnType<typeof downloadOf>) => all.toSpliced(3, 1), /out of order/],
    [
      "the end is missing",
      (all: ReturnType<typeof downloadOf>) => all.slice(0, -1),
      /900000 bytes of 1000000/,
    ],
    ["a byte is wrong", () => downloadOf(Buffer.alloc(1_000_000), { offset: 0n }, assetOf(data)), /SHA-256/],
    ["nothing comes", () => [], /nothing about/],
  ])("leaves no file when %s", async (_, spoil, message) => {
    const downloadAsset: StagedMethods["downloadAsset"] = async function* (request) {
      yield* spoil(downloadOf(data, request));
    };
    await onStage({ downloadAsset }, async ({ run, directory }) => {
      const { exitCode, out, err } = await run(["assets", "get", assetId, "--out", directory.path]);
      expect({ exitCode, out }).toEqual({ exitCode: 1, out: "" });
      expect(err).toMatch(message);
      expect(await directory.list()).toEqual([]);
    });
  });

  it("ends with 6 if there is none, and with 3 if nobody is there", async () => {
    const downloadAsset = () => {
      const info = { desc: ErrorInfoSchema, value: { reason: "ASSET_NOT_FOUND" } };
      throw new ConnectError("no", Code.NotFound, undefined, [info]);
    };
    await onStage({ downloadAsset }, async ({ run, directory }) => {
      const { exitCode, err } = await run(["assets", "get", assetId, "--out", directory.path]);
      expect({ exitCode, err }).toEqual({ exitCode: 6, err: "error: ASSET_NOT_FOUND: no\n" });
      const gone = await startStagedService({});
      await gone[Symbol.asyncDispose]();
      const args = ["assets", "get", assetId, "--out", directory.path, "--server", gone.address];
      const alone = await runCli(args);
      expect(alone.exitCode).toBe(3);
      expect(alone.err).toContain("cannot reach the service");
      expect(await directory.list()).toEqual([]);
    });
  });
});

describe("assets link", () => {
  it.each([
    ["/assets/5f2c?sig=x", (address: string) => `http://${address}/assets/5f2c?sig=x`],
    ["https://bucket.example.com/5f2c?sig=x", () => "https://bucket.example.com/5f2c?sig=x"],
  ])("makes an absolute link of %j", async (url, expected) => {
    const requests: SignAssetUrlRequest[] = [];
    const signAssetUrl: StagedMethods["signAssetUrl"] = (request) => {
      requests.push(request);
      return { url, expireTime: timestampFromMs(Date.now() + 600_000) };
    };
    await onStage({ signAssetUrl }, async ({ run, service }) => {
      const { exitCode, out, err } = await run(["assets", "link", assetId, "--ttl", "10m"]);
      expect({ exitCode, out }).toEqual({ exitCode: 0, out: `${expected(service.address)}\n` });
      expect(err).toMatch(/^works until .*Z, in (10m00s|9m5\ds)\n$/);
      const json = await run(["assets", "link", assetId, "--json"]);
      expect(JSON.parse(json.out)).toMatchObject({ url: expected(service.address) });
      expect(json.err).toBe("");
      expect(requests).toMatchObject([{ assetId, ttl: { seconds: 600n } }, { assetId }]);
      expect(requests[1]?.ttl).toBeUndefined();
    });
  });

  it("refuses a time that is none", async () => {
    const { exitCode, err } = await runCli(["assets", "link", assetId, "--ttl", "1w"]);
    expect(exitCode).toBe(2);
    expect(err).toContain("90s, 15m, 1h30m or 7d");
  });
});
