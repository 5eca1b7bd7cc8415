import { randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { buffer } from "node:stream/consumers";
import { describe, expect, it } from "vitest";
import { ServiceError } from "../../domain/errors.ts";
import { createLogger } from "../../telemetry/logger.ts";
import type { InputFile } from "../engine.ts";
import { createComfyUiClient } from "./client.ts";
import { type ComfyUiEngineOptions, resolveOptions } from "./options.ts";
import { startHttpServer } from "./testing/http-server.ts";
import { uploadInputs } from "./upload-inputs.ts";

const name = `${"ab".repeat(32)}.png`;

describe("uploading inputs", () => {
  it("sends a file that is not there, with its length beforehand and without overwriting", async () => {
    await using stage = await openStage();
    const data = randomBytes(300_000);
    await stage.upload([fileOf(data)]);
    expect(stage.requests()).toEqual([
      `HEAD /api/view?filename=${name}&subfolder=comfyrpc&type=input`,
      "POST /api/upload/image",
    ]);
    const [upload] = stage.uploads;
    expect(upload).toMatchObject({ type: "input", subfolder: "comfyrpc", overwrite: undefined });
    expect(upload?.image.name).toBe(name);
    expect(upload?.image.type).toBe("image/png");
    expect(await bytesOf(upload)).toEqual(data);
    expect(upload?.headers["transfer-encoding"]).toBeUndefined();
    expect(Number(upload?.headers["content-length"])).toBeGreaterThan(data.length);
  });

  it("does not send what is there, and replaces what is not whole", async () => {
    const data = randomBytes(100);
    await using stage = await openStage();
    stage.sizes.set("whole.png", 100);
    stage.sizes.set("cut.png", 70);
    await stage.upload([fileOf(data, "comfyrpc/whole.png"), fileOf(data, "comfyrpc/cut.png")]);
    expect(stage.uploads.map(({ image, overwrite }) => [image.name, overwrite])).toEqual([
      ["cut.png", "true"],
    ]);
  });

  it("uploads where HEAD is not served, and to the input directory itself", async () => {
    await using stage = await openStage();
    stage.onHead = (response) => response.writeHead(405).end();
    await stage.upload([fileOf(randomBytes(10), "plain.png")]);
    expect(stage.uploads).toMatchObject([{ subfolder: "", overwrite: undefined }]);
  });

  it.each([
    [413, "", "INPUT_REJECTED"],
    [400, "", "BACKEND_PROTOCOL"],
    [403, "<html>", "BACKEND_PROTOCOL"],
    [500, "500 Internal Server Error", "BACKEND_PROTOCOL"],
    [503, "<html>", "NO_BACKEND"],
    [200, "<html>", "BACKEND_PROTOCOL"],
    [200, '{"name": 7}', "BACKEND_PROTOCOL"],
    [200, '{"name": "other (1).png", "subfolder": "comfyrpc"}', "BACKEND_PROTOCOL"],
    [200, `{"name": "${name}", "subfolder": ""}`, "BACKEND_PROTOCOL"],
  ])("takes HTTP %i %s for %s", async (status, body, reason) => {
    await using stage = await openStage();
    stage.onUpload = (response) => response.writeHead(status).end(body);
    await expect(stage.upload([fileOf(randomBytes(10))])).rejects.toMatchObject({ reason });
    expect(stage.uploads).toHaveLength(status === 503 ? 3 : 1);
  });

  it("knows its subfolder by a Windows name too", async () => {
    await using stage = await openStage();
    stage.onUpload = (response) => response.end('{"name": "a.png", "subfolder": "x\\\\y", "type": "input"}');
    await stage.upload([fileOf(randomBytes(10), "x/y/a.png")]);
    expect(stage.uploads).toHaveLength(1);
  });

  it("tries again after an upload that broke off, with all of its bytes", async () => {
    await using stage = await openStage();
    const data = randomBytes(1_000);
    let broken = 0;
    stage.onUpload = (response, request) => {
      if (broken++ === 0) {
        request.socket.destroy();
      } else {
        answerStored(response);
      }
    };
    await stage.upload([fileOf(data)]);
    expect(stage.uploads).toHaveLength(2);
    expect(await bytesOf(stage.uploads[1])).toEqual(data);
  });

  it("says that there is no backend where nothing can be connected to", async () => {
    await using stage = await openStage();
    await stage.close();
    await expect(stage.upload([fileOf(randomBytes(10))])).rejects.toMatchObject({ reason: "NO_BACKEND" });
  });

  it("throws what the bytes fail with, and breaks the upload off for it", async () => {
    await using stage = await openStage();
    const failing: InputFile = {
      ...fileOf(randomBytes(100_000)),
      async *open() {
        yield randomBytes(50_000);
        throw new ServiceError("ASSET_NOT_FOUND", "gone");
      },
    };
    await expect(stage.upload([failing])).rejects.toMatchObject({ reason: "ASSET_NOT_FOUND" });
    expect(stage.uploads).toEqual([]);
  });

  it("gives up on a server that takes nothing", async () => {
    await using stage = await openStage({ requestTimeoutMs: 100 });
    stage.deaf = true;
    const large: InputFile = {
      ...fileOf(Buffer.alloc(0)),
      sizeBytes: 1e9,
      async *open() {
        for (;;) {
          yield Buffer.alloc(65_536);
        }
      },
    };
    await expect(stage.upload([large])).rejects.toMatchObject({ reason: "NO_BACKEND" });
  });

  it("ends with its signal, and leaves the bytes", async () => {
    await using stage = await openStage();
    stage.deaf = true;
    const abort = new AbortController();
    const left = Promise.withResolvers<void>();
    const endless: InputFile = {
      ...fileOf(Buffer.alloc(0)),
      sizeBytes: 1e9,
      async *open() {
        try {
          for (let pieces = 0; ; pieces++) {
            yield Buffer.alloc(65_536);
            if (pieces === 2) {
              abort.abort(new Error("enough"));
            }
          }
        } finally {
          left.resolve();
        }
      },
    };
    await expect(stage.upload([endless], abort.signal)).rejects.toThrow("enough");
    await left.promise;
  });
});

interface ReceivedUpload {
  readonly headers: IncomingMessage["headers"];
  readonly type: FormDataEntryValue | undefined;
  readonly subfolder: FormDataEntryValue | undefined;
  readonly overwrite: FormDataEntryValue | undefined;
  readonly image: File;
}

type FormDataEntryValue = File | string;

async function bytesOf(upload: ReceivedUpload | undefined): Promise<Buffer> {
  return Buffer.from((await upload?.image.arrayBuffer()) ?? new ArrayBuffer());
}

function fileOf(data: Buffer, fileName = `comfyrpc/${name}`): InputFile {
  return {
    fileName,
    sizeBytes: data.length,
    mediaType: "image/png",
    async *open() {
      for (let offset = 0; offset < data.length; offset += 65_536) {
        yield data.subarray(offset, offset + 65_536);
      }
    },
  };
}

function answerStored(response: ServerResponse, { image, subfolder }: Partial<ReceivedUpload> = {}): void {
  const stored = { name: image?.name ?? name, subfolder: subfolder ?? "comfyrpc", type: "input" };
  response.setHeader("content-type", "application/json").end(JSON.stringify(stored));
}

/** A server that takes uploads, and a client of it. */
async function openStage(options: Partial<ComfyUiEngineOptions> = {}) {
  const uploads: ReceivedUpload[] = [];
  const stage = {
    /** Sizes of files that are there, by name. */
    sizes: new Map<string, number>(),
    uploads,
    /** Whether it reads nothing of an upload. */
    deaf: false,
    onHead: (response: ServerResponse, size: number | undefined) => {
      response.writeHead(
        size === undefined ? 404 : 200,
        size === undefined ? {} : { "content-length": size },
      );
      response.end();
    },
    onUpload: undefined as ((response: ServerResponse, request: IncomingMessage) => void) | undefined,
  };
  const server = await startHttpServer(async (request, response) => {
    if (request.method === "HEAD") {
      const query = new URL(request.url ?? "", "http://x").searchParams;
      stage.onHead(response, stage.sizes.get(query.get("filename") ?? ""));
      return;
    }
    if (stage.deaf) {
      return;
    }
    const body = await buffer(request).catch(() => undefined);
    if (body === undefined) {
      return; // it broke off
    }
    const headers = { "content-type": request.headers["content-type"] ?? "" };
    const form = await new Response(body, { headers }).formData();
    const upload: ReceivedUpload = {
      headers: request.headers,
      type: form.get("type") ?? undefined,
      subfolder: form.get("subfolder") ?? undefined,
      overwrite: form.get("overwrite") ?? undefined,
      image: form.get("image") as File,
    };
    uploads.push(upload);
    if (stage.onUpload) {
      stage.onUpload(response, request);
    } else {
      answerStored(response, upload);
    }
  });
  const client = createComfyUiClient(resolveOptions({ name: "test", baseUrl: server.url, ...options }));
  const logger = createLogger({ level: "silent" });
  let open = true;
  const close = async () => {
    if (open) {
      open = false;
      await server[Symbol.asyncDispose]();
    }
  };
  return Object.assign(stage, {
    requests: () => server.requests.map(({ method, url }) => `${method} ${url}`),
    close,
    upload: (inputs: readonly InputFile[], signal = AbortSignal.timeout(10_000)) =>
      uploadInputs(inputs, { client, logger }, signal),
    async [Symbol.asyncDispose]() {
      await client[Symbol.asyncDispose]();
      await close();
    },
  });
}
