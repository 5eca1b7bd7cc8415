import { describe, expect, it } from "vitest";
import { ServiceError } from "../domain/errors.ts";
import type { InputFile } from "../engine/engine.ts";
import { createLogger } from "../telemetry/logger.ts";
import { type InputFileDependencies, inputFilesOf } from "./input-files.ts";

const logger = createLogger({ level: "silent" });
const data = Buffer.from("0123456789");
const asset = {
  id: "a",
  tenant: "t",
  sizeBytes: data.length,
  mediaType: "image/webp",
  widthPx: 1,
  heightPx: 1,
  fileName: "",
  createTime: new Date(0),
  expireTime: new Date(0),
};
const planned = [{ assetId: "a", fileName: "comfyrpc/a.webp" }];
const outage = new ServiceError("STORE_UNAVAILABLE", "out of order");

function deps(over: Partial<InputFileDependencies> = {}): InputFileDependencies {
  return {
    assets: { get: async (tenant) => (tenant === "t" ? asset : undefined) },
    blobs: { read: (_sha256, { offset }) => pieces(offset) },
    logger,
    ...over,
  };
}

async function* pieces(offset: number, failAt = data.length): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  for (let i = offset; i < data.length; i += 2) {
    if (i >= failAt) {
      throw outage;
    }
    yield Uint8Array.from(data.subarray(i, i + 2));
  }
}

async function bytesOf(file: InputFile | undefined): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(file?.open(soon()) ?? []));
}

const soon = () => AbortSignal.timeout(10_000);

describe("inputFilesOf", () => {
  it("gives each file its name, its facts and its bytes, as often as they are asked for", async () => {
    const [file] = await inputFilesOf(planned, "t", deps(), soon());
    expect(file).toMatchObject({ fileName: "comfyrpc/a.webp", sizeBytes: 10, mediaType: "image/webp" });
    for (let i = 0; i < 2; i++) {
      expect(await bytesOf(file)).toEqual(data);
    }
  });

  it("refuses one that the tenant does not have", async () => {
    await expect(inputFilesOf(planned, "u", deps(), soon())).rejects.toMatchObject({
      reason: "ASSET_NOT_FOUND",
    });
  });

  it("waits for stores that are out of order, and goes on where they broke off", async () => {
    const offsets: number[] = [];
    let asked = 0;
    const get = async () => {
      if (asked++ === 0) {
        throw outage;
      }
      return asset;
    };
    const read = (_sha256: string, { offset }: { offset: number }) => {
      offsets.push(offset);
      return pieces(offset, offsets.length < 3 ? offset + 4 : undefined);
    };
    const [file] = await inputFilesOf(planned, "t", deps({ assets: { get }, blobs: { read } }), soon());
    expect(await bytesOf(file)).toEqual(data);
    expect(offsets).toEqual([0, 4, 8]);
  });

  it("waits no longer than its signal, and reads nothing more when nobody reads on", async () => {
    const abort = new AbortController();
    const get = async () => {
      setImmediate(() => abort.abort(new Error("enough")));
      throw outage;
    };
    await expect(inputFilesOf(planned, "t", deps({ assets: { get } }), abort.signal)).rejects.toThrow(
      "enough",
    );

    let left = false;
    const read = async function* () {
      try {
        yield* pieces(0);
      } finally {
        left = true;
      }
    };
    const [file] = await inputFilesOf(planned, "t", deps({ blobs: { read } }), soon());
    for await (const _ of file?.open(soon()) ?? []) {
      break;
    }
    expect(left).toBe(true);
  });
});
