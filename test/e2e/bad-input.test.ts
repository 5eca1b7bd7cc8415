import { once } from "node:events";
import { type ClientHttp2Stream, constants, type IncomingHttpHeaders } from "node:http2";
import { text as readAll } from "node:stream/consumers";
import { gzipSync } from "node:zlib";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { errorFromJson } from "@connectrpc/connect/protocol-connect";
import { createGrpcTransport, createGrpcWebTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { Pool } from "undici";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import {
  GenerateRequestSchema,
  GenerateWithProgressRequestSchema,
  ImageService,
} from "../../gen/comfyrpc/v1/image_service_pb.js";
import { queueOf } from "../support/foreign-prompt.ts";
import { connectHttp2 } from "../support/http2-client.ts";
import { connectRaw, http2Frame, http2Opening } from "../support/raw-client.ts";
import { expectNoLeak, failureOf, type RpcFailure, toRpcFailure } from "../support/rpc-failure.ts";
import { type ServiceFixture, startServiceFixture } from "../support/start-service.ts";
import { waitUntil } from "../support/wait-until.ts";

/**
 * What callers get who send what the service does not take. All cases go to one service, which has to draw a picture
 * after each of them. An error that nobody handles would fail the run: the service lives in the process of the test.
 */

const generate = "/comfyrpc.v1.ImageService/Generate";
const withProgress = "/comfyrpc.v1.ImageService/GenerateWithProgress";
const maxRequestBytes = 100_000;

let fixture: ServiceFixture;
let sessionManager: Http2SessionManager;
let http1: Pool;

beforeAll(async () => {
  const env = {
    COMFYRPC_MAX_REQUEST_BYTES: String(maxRequestBytes),
    COMFYRPC_MAX_STEPS: "100",
    COMFYRPC_MAX_IMAGES: "4",
    COMFYRPC_MAX_PIXELS: String(512 * 512),
  };
  fixture = await startServiceFixture({ env });
  sessionManager = new Http2SessionManager(fixture.url);
  http1 = new Pool(fixture.url);
});

afterAll(async () => {
  sessionManager.abort();
  await http1.destroy();
  await fixture[Symbol.asyncDispose]();
});

afterEach(async () => {
  const { status, json } = await post(generate, { spec: small });
  expect([status, json]).toEqual([200, expect.objectContaining({ images: [expect.anything()] })]);
});

const small = { prompt: "a red fox", widthPx: 64, heightPx: 64, steps: 1 };

/** Each way to send the request given as JSON, and to get to know why it failed. */
const protocols: Readonly<Record<string, (body: JsonObject) => Promise<RpcFailure>>> = {
  "gRPC, unary": (body) =>
    failureOf(
      clientOf(createGrpcTransport({ baseUrl: fixture.url, sessionManager })).generate(
        fromJson(GenerateRequestSchema, body),
      ),
    ),
  "gRPC, streaming": (body) =>
    failureOf(
      Array.fromAsync(
        clientOf(createGrpcTransport({ baseUrl: fixture.url, sessionManager })).generateWithProgress(
          fromJson(GenerateWithProgressRequestSchema, body),
        ),
      ),
    ),
  "gRPC-Web": (body) =>
    failureOf(
      clientOf(createGrpcWebTransport({ baseUrl: fixture.url, httpVersion: "1.1" })).generate(
        fromJson(GenerateRequestSchema, body),
      ),
    ),
  "Connect, JSON": async (body) => (await post(generate, body)).failure(400),
  "Connect, streamed JSON": async (body) => {
    const answer = await postBytes(withProgress, enveloped(JSON.stringify(body)), {
      "content-type": "application/connect+json",
    });
    expect(answer.status).toBe(200);
    return endOfStream(answer.bytes);
  },
};

const onProtocols = Object.keys(protocols).map((name) => [name] as const);

/** Sends `body` in every protocol, and expects the same failure, which tells nothing that it should not. */
async function expectRefused(body: JsonObject, expected: Partial<RpcFailure>): Promise<void> {
  for (const [name, send] of Object.entries(protocols)) {
    const failure = await send(body);
    expect(failure, name).toMatchObject({ code: "InvalidArgument", ...expected });
    expect(failure.metadata.request_id, name).toMatch(/^[0-9a-f-]{36}$/);
    expectNoLeak(failure.everything);
  }
}

describe("a field out of its range is INVALID_FIELD and named:", () => {
  const long = (length: number) => "a".repeat(length);
  const lora = (fields: JsonObject) => ({ loras: [{ name: "demo-neon.safetensors" }, fields] });

  it.each<[string, JsonObject]>([
    ["prompt", { prompt: "" }],
    ["prompt", { prompt: " \t\r\n" }],
    ["prompt", { prompt: "\u3000\u00a0\u2003" }],
    ["prompt", { prompt: long(5_001) }],
    ["negative_prompt", { negativePrompt: long(2_001) }],
    ["model", { model: long(513) }],
    ["width_px", { widthPx: 0 }],
    ["width_px", { widthPx: 56 }],
    ["width_px", { widthPx: 2_056 }],
    ["width_px", { widthPx: 4_294_967_288 }],
    ["width_px", { widthPx: 100 }],
    ["height_px", { heightPx: 0 }],
    ["height_px", { heightPx: 56 }],
    ["height_px", { heightPx: 2_056 }],
    ["height_px", { heightPx: 100 }],
    ["steps", { steps: 0 }],
    ["steps", { steps: 151 }],
    ["cfg", { cfg: 0.99 }],
    ["cfg", { cfg: 30.01 }],
    ["cfg", { cfg: "NaN" }],
    ["cfg", { cfg: "Infinity" }],
    ["denoise", { denoise: -0.01 }],
    ["denoise", { denoise: 1.01 }],
    ["denoise", { denoise: "NaN" }],
    ["sampler", { sampler: long(129) }],
    ["scheduler", { scheduler: long(129) }],
    ["image_count", { imageCount: 0 }],
    ["image_count", { imageCount: 11 }],
    ["loras", { loras: Array(17).fill({ name: "demo-neon.safetensors" }) }],
    ["loras[1].name", lora({ name: "" })],
    ["loras[1].name", lora({ name: long(513) })],
    ["loras[1].model_strength", lora({ name: "x", modelStrength: 100.1 })],
    ["loras[1].model_strength", lora({ name: "x", modelStrength: "NaN" })],
    ["loras[1].clip_strength", lora({ name: "x", clipStrength: -100.1 })],
    ["clip_skip", { clipSkip: 0 }],
    ["clip_skip", { clipSkip: 25 }],
    ["vae", { vae: long(513) }],
    ["preview.max_side_px", { preview: { maxSidePx: 15 } }],
    ["preview.max_side_px", { preview: { maxSidePx: 1_025 } }],
    ["preview.format", { preview: { format: "IMAGE_FORMAT_PNG" } }],
    ["preview.format", { preview: { format: 99 } }],
    ["output.format", { output: { format: 99 } }],
    ["output.quality", { output: { format: "IMAGE_FORMAT_WEBP", quality: 0 } }],
    ["output.quality", { output: { format: "IMAGE_FORMAT_WEBP", quality: 101 } }],
    ["output.quality", { output: { format: "IMAGE_FORMAT_PNG", quality: 80 } }],
    ["output.quality", { output: { quality: 80 } }],
    ["output.inline_limit_bytes", { output: { inlineLimitBytes: 67_108_865 } }],
  ])("%s of %j", async (field, change) => {
    await expectRefused(
      { spec: { ...small, ...change } },
      { reason: "INVALID_FIELD", fields: [`spec.${field}`] },
    );
  });

  it("spec, if there is none", async () => {
    await expectRefused({}, { reason: "INVALID_FIELD", fields: ["spec"] });
  });

  it("all of several, at once", async () => {
    await expectRefused(
      { spec: { ...small, prompt: "", steps: 999, output: { quality: 80 } } },
      { reason: "INVALID_FIELD", fields: ["spec.steps", "spec.output.quality", "spec.prompt"] },
    );
  });

  it.each<[string, JsonObject]>([
    ["steps", { steps: 101 }],
    ["image_count", { imageCount: 5 }],
    ["width_px", { widthPx: 512, heightPx: 520 }],
  ])("%s, if it is above what the operator allows", async (field, change) => {
    await expectRefused(
      { spec: { ...small, ...change } },
      {
        reason: "INVALID_FIELD",
        fields: [`spec.${field}`],
        message: expect.stringMatching(/this server allows at most \d+/),
      },
    );
  });

  it("but not where the range ends", async () => {
    const spec = { ...small, prompt: "🦊".repeat(5_000), steps: 100, cfg: 30, denoise: 1, clipSkip: 24 };
    const { status } = await post(generate, {
      spec: {
        ...spec,
        seed: "18446744073709551615",
        loras: [{ name: "demo-neon.safetensors", modelStrength: -100 }],
      },
    });
    expect(status).toBe(200);
  });
});

describe("a name that the backend does not have is refused with the nearest ones:", () => {
  const neon = "demo-neon.safetensors";

  it.each<[string, string, JsonObject, string, string]>([
    ["MODEL_NOT_FOUND", "model", { model: "demo-sd1.5" }, "demo-sd1.5", "demo-sd15.safetensors"],
    ["SAMPLER_NOT_FOUND", "sampler", { sampler: "eular" }, "eular", "euler"],
    ["SCHEDULER_NOT_FOUND", "scheduler", { scheduler: "kerras" }, "kerras", "karras"],
    ["LORA_NOT_FOUND", "loras[1].name", { loras: [{ name: neon }, { name: "neom" }] }, "neom", neon],
    ["VAE_NOT_FOUND", "vae", { vae: "demo-vea.safetensors" }, "demo-vea.safetensors", "demo-vae.safetensors"],
    ["MODEL_NOT_FOUND", "model", { model: "../../etc/passwd" }, "../../etc/passwd", "demo-sd15.safetensors"],
  ])("%s", async (reason, field, change, name, nearest) => {
    for (const [protocol, send] of Object.entries(protocols)) {
      const failure = await send({ spec: { ...small, ...change } });
      expect(failure, protocol).toMatchObject({ code: "InvalidArgument", reason, fields: [`spec.${field}`] });
      expect(failure.metadata.name, protocol).toBe(name);
      expect(JSON.parse(failure.metadata.nearest ?? "[]"), protocol).toContain(nearest);
      expect(failure.message, protocol).toContain(nearest);
      expectNoLeak(failure.everything.replaceAll(name, ""));
    }
  });
});

describe("a message that is too large is RESOURCE_EXHAUSTED", () => {
  const huge = { spec: { ...small, negativePrompt: "a".repeat(2 * maxRequestBytes) } };

  it.each(onProtocols.filter(([name]) => name !== "Connect, JSON"))("in %s", async (name) => {
    const failure = await protocols[name]?.(huge);
    expect(failure).toMatchObject({ code: "ResourceExhausted" });
    expectNoLeak(failure?.everything ?? "");
  });

  it("in Connect, JSON", async () => {
    const failure = (await post(generate, huge)).failure(429);
    expect(failure).toMatchObject({ code: "ResourceExhausted" });
    expectNoLeak(failure.everything);
  });

  it("also if it is small before it is unpacked", async () => {
    const bomb = gzipSync(JSON.stringify({ spec: { prompt: "a".repeat(50_000_000) } }));
    expect(bomb.length).toBeLessThan(maxRequestBytes);
    const unary = await postBytes(generate, bomb, {
      "content-type": "application/json",
      "content-encoding": "gzip",
    });
    expect(unary.failure(429)).toMatchObject({ code: "ResourceExhausted" });
    const streamed = await postBytes(withProgress, enveloped(bomb, 1), {
      "content-type": "application/connect+json",
      "connect-content-encoding": "gzip",
    });
    expect(endOfStream(streamed.bytes)).toMatchObject({ code: "ResourceExhausted" });
    for (const contentType of ["application/grpc+proto", "application/grpc-web+proto"]) {
      const { status } = await callGrpc(generate, enveloped(bomb, 1), contentType, {
        "grpc-encoding": "gzip",
      });
      expect([contentType, status]).toEqual([contentType, Code.ResourceExhausted]);
    }
  });
});

describe("a message that cannot be read is refused:", () => {
  /** gRPC says `INTERNAL` for protobuf that cannot be read (doc/statuscodes.md), though the fault is the caller's. */
  const unreadable = /^(?:invalid_?argument|internal)$/i;

  it.each([
    ["broken JSON", '{"spec":'],
    ["no JSON", "prompt=a+red+fox"],
    ["an empty body", ""],
    ["a list", "[]"],
    ["null", "null"],
    ["bytes that are no UTF-8", Buffer.of(0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d)],
    ["a number for a text", '{"spec":{"prompt":7}}'],
    ["a text for a number", '{"spec":{"prompt":"x","steps":"many"}}'],
    ["a fraction for a whole number", '{"spec":{"prompt":"x","steps":1.5}}'],
    ["a negative number for an unsigned one", '{"spec":{"prompt":"x","steps":-1}}'],
    ["a seed above 64 bits", '{"spec":{"prompt":"x","seed":"18446744073709551616"}}'],
    ["a negative seed", '{"spec":{"prompt":"x","seed":"-1"}}'],
    [
      "an unknown name of an enum",
      '{"spec":{"prompt":"x","steps":1,"output":{"format":"IMAGE_FORMAT_GIF"}}}',
    ],
    ["an unknown field", '{"spec":{"prompt":"x","steps":1,"stepz":20}}'],
    ["deep nesting", `{"spec":${"[".repeat(40_000)}`],
    ["a field that is given twice", '{"spec":{"prompt":"x","widthPx":64,"width_px":64}}'],
  ])("%s in JSON", async (_, body) => {
    const unary = await postBytes(generate, Buffer.from(body), { "content-type": "application/json" });
    const streamed = await postBytes(withProgress, enveloped(body), {
      "content-type": "application/connect+json",
    });
    for (const failure of [unary.failure(400), endOfStream(streamed.bytes)]) {
      expect(failure.code).toBe("InvalidArgument");
      expect(failure.message).not.toBe("");
      expectNoLeak(failure.everything);
    }
  });

  it.each([
    ["an unknown wire type", Buffer.of(0x0f)],
    ["a length beyond its end", Buffer.of(0x0a, 0x7f, 0x0a)],
    ["a text that is no UTF-8", Buffer.of(0x0a, 0x04, 0x0a, 0x02, 0xff, 0xfe)],
    ["a number without end", Buffer.alloc(20, 0xff)],
    ["JSON in place of protobuf", Buffer.from('{"spec":{"prompt":"x"}}')],
  ])("%s in protobuf", async (_, bytes) => {
    const unary = await postBytes(generate, bytes, { "content-type": "application/proto" });
    expect(unary.json).toMatchObject({ code: expect.stringMatching(unreadable), message: expect.anything() });
    expectNoLeak(unary.everything);
    for (const contentType of ["application/grpc", "application/grpc+proto", "application/grpc-web+proto"]) {
      const { status, message, everything } = await callGrpc(generate, enveloped(bytes), contentType);
      expect([contentType, Code[status]]).toEqual([contentType, expect.stringMatching(unreadable)]);
      expect(message).not.toBe("");
      expectNoLeak(everything);
    }
  });

  it.each([
    ["that ends too early", enveloped("{}").subarray(0, 6)],
    ["that is cut in its head", Buffer.of(0, 0, 0)],
    ["with flags that mean nothing", enveloped("{}", 0x40)],
    ["that claims to be packed", enveloped("{}", 1)],
    ["that is missing", Buffer.alloc(0)],
    ["that comes twice", Buffer.concat([enveloped("{}"), enveloped("{}")])],
  ])("an envelope %s", async (_, bytes) => {
    for (const contentType of ["application/grpc+json", "application/grpc-web+json"]) {
      for (const path of [generate, withProgress]) {
        const { status, message, everything } = await callGrpc(path, bytes, contentType);
        expect([contentType, path, Code[status]]).toEqual([
          contentType,
          path,
          expect.stringMatching(/^(?:InvalidArgument|Unimplemented|Internal)$/),
        ]);
        expect(message).not.toBe("");
        expectNoLeak(everything);
      }
    }
  });
});

describe("a request that is no call of a method is refused with what would be one:", () => {
  it.each(["text/plain", "application/x-www-form-urlencoded", "application/octet-stream", ""])(
    "content type %j, by 415",
    async (contentType) => {
      for (const path of [generate, withProgress]) {
        const answer = await postBytes(
          path,
          Buffer.from("{}"),
          contentType ? { "content-type": contentType } : {},
        );
        expect(answer.status).toBe(415);
        expect(answer.headers["accept-post"]).toContain("application/grpc");
        expect(answer.json).toMatchObject({
          code: "invalid_argument",
          message: expect.stringContaining("takes"),
        });
        expectNoLeak(answer.everything);
      }
    },
  );

  it.each([
    ["GET", generate, "POST"],
    ["GET", withProgress, "POST"],
    ["PUT", generate, "POST"],
    ["DELETE", "/comfyrpc.v1.ImageService/Health", "POST"],
  ] as const)("%s %s, by 405", async (method, path, allowed) => {
    const query = "?connect=v1&encoding=json&message=%7B%7D";
    const { statusCode, headers, body } = await http1.request({ path: path + query, method });
    expect(statusCode).toBe(405);
    expect(headers.allow).toContain(allowed);
    expectNoLeak(await body.text());
  });

  it.each([
    "/comfyrpc.v1.ImageService/Paint",
    "/comfyrpc.v1.NoService/Generate",
    "/",
    "//",
    "/comfyrpc.v1.ImageService/",
    "/%00",
    "/../../etc/shadow",
    `/${"x".repeat(5_000)}`,
    "/healthz/x",
  ])("%s, by 404 or UNIMPLEMENTED", async (path) => {
    const answer = await postBytes(path, Buffer.from("{}"), { "content-type": "application/json" });
    expect(answer.status).toBe(404);
    expect(answer.json).toMatchObject({
      code: "unimplemented",
      message: expect.stringContaining("comfyrpc.v1.ImageService"),
    });
    expectNoLeak(answer.everything.replaceAll(path, ""));
    for (const contentType of ["application/grpc+proto", "application/grpc-web+proto"]) {
      const { status, message } = await callGrpc(path, enveloped(Buffer.alloc(0)), contentType);
      expect([contentType, status]).toEqual([contentType, Code.Unimplemented]);
      expect(message).toContain("comfyrpc.v1.ImageService");
    }
  });

  it("a compression that it does not know, by UNIMPLEMENTED and those that it knows", async () => {
    const unary = await postBytes(generate, Buffer.from("{}"), {
      "content-type": "application/json",
      "content-encoding": "br",
    });
    const failure = unary.failure(501);
    expect(failure).toMatchObject({ code: "Unimplemented", message: expect.stringContaining("gzip") });
    for (const contentType of ["application/grpc+proto", "application/grpc-web+proto"]) {
      const { status, message } = await callGrpc(generate, enveloped(Buffer.alloc(0), 1), contentType, {
        "grpc-encoding": "br",
      });
      expect([contentType, status]).toEqual([contentType, Code.Unimplemented]);
      expect(message).toContain("gzip");
    }
  });

  it("what says that it is packed and is not", async () => {
    const answer = await postBytes(generate, Buffer.from(JSON.stringify({ spec: small })), {
      "content-type": "application/json",
      "content-encoding": "gzip",
    });
    expect(answer.failure(400)).toMatchObject({ code: "InvalidArgument" });
    expectNoLeak(answer.everything);
  });

  it.each(["soon", "-1", "1.5", "1".repeat(20)])("a deadline of %j", async (value) => {
    const answer = await postBytes(generate, Buffer.from(JSON.stringify({ spec: small })), {
      "content-type": "application/json",
      "connect-timeout-ms": value,
    });
    expect(answer.failure(400)).toMatchObject({ code: "InvalidArgument" });
    expectNoLeak(answer.everything);
  });
});

describe("a connection that misbehaves harms nobody:", () => {
  it("silent ones, and such as stop in the middle of a request", async () => {
    const openings = ["", "P", "PRI * HTTP/2.0\r\n", `POST ${generate} HTTP/1.1\r\nHost: a\r\nContent-`];
    for (const opening of [...openings, http2Opening, http2Opening.subarray(0, 30)]) {
      using silent = await connectRaw(fixture.service.port);
      silent.socket.write(opening);
      expect((await post(generate, { spec: small })).status).toBe(200);
      expect(silent.socket.destroyed).toBe(false);
    }
  });

  it.each([
    ["at once", ""],
    ["in the preface", "PRI * HTTP/2.0"],
    ["in a head", `POST ${generate} HTTP/1.1\r\nHost: a\r\nContent-`],
    [
      "in a body",
      `POST ${generate} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"spec"`,
    ],
    ["after the opening of HTTP/2", http2Opening],
    ["in a frame of HTTP/2", Buffer.concat([http2Opening, Buffer.of(0, 0, 100, 1, 4, 0, 0, 0, 1, 0x83)])],
  ])("one that is closed by half, %s, is closed", async (_, bytes) => {
    using half = await connectRaw(fixture.service.port);
    half.socket.end(bytes);
    expectNoLeak((await half.closed).toString("latin1"));
  });

  it.each([
    ["one header of 100 kB", () => ({ "x-flood": "a".repeat(100_000) })],
    [
      "ten thousand headers",
      () => Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`x-flood-${i}`, "a"])),
    ],
  ])("one with %s is refused", async (_, headers) => {
    using raw = await connectRaw(fixture.service.port);
    const lines = Object.entries({ host: "a", ...headers() }).map(([name, value]) => `${name}: ${value}\r\n`);
    raw.socket.write(`GET /healthz HTTP/1.1\r\n${lines.join("")}\r\n`);
    const answer = (await raw.closed).toString("latin1");
    expect(answer).toMatch(/^HTTP\/1\.1 431 /);
    expectNoLeak(answer);

    using session = await connectHttp2(fixture.url, { maxSendHeaderBlockLength: 10_000_000 });
    const call = session.request({ ":path": "/healthz", ...headers() });
    let status: number | undefined;
    call.on("response", (head) => {
      status = head[":status"];
    });
    await untilClosed(call.resume());
    expect([undefined, 431]).toContain(status); // a reset will do
  });

  it("one whose header block has no end is cut off", async () => {
    using raw = await connectRaw(fixture.service.port);
    const [headers, continuation] = [1, 9];
    raw.socket.write(Buffer.concat([http2Opening, http2Frame(headers, 0, 1, Buffer.of(0x83))]));
    const flood = http2Frame(
      continuation,
      0,
      1,
      Buffer.concat(Array(200).fill(Buffer.from("\x00\x01a\x01b"))),
    );
    for (let i = 0; i < 2_000 && !raw.socket.destroyed; i++) {
      if (!raw.socket.write(flood)) {
        await Promise.race([once(raw.socket, "drain"), raw.closed]);
      }
    }
    expectNoLeak((await raw.closed).toString("latin1"));
  });

  it.each<[string, Buffer]>([
    ["noise", Buffer.from(Array.from({ length: 5_000 }, (_, i) => (i * 7919 + (i >> 3)) & 0xff))],
    ["zeros", Buffer.alloc(5_000)],
    ["line ends", Buffer.from("\r\n".repeat(40_000))],
    ["a TLS handshake", Buffer.from("16030100c8010000c40303", "hex")],
    ["another protocol", Buffer.from("SSH-2.0-OpenSSH_9.6\r\n")],
    ["a request with a bad length", Buffer.from("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n")],
    [
      "a request with two lengths",
      Buffer.from(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      ),
    ],
    ["noise after the opening of HTTP/2", Buffer.concat([http2Opening, Buffer.alloc(500, 0xa5)])],
    [
      "a frame that is too large",
      Buffer.concat([http2Opening, Buffer.of(0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1)]),
    ],
    ["data without a call", Buffer.concat([http2Opening, http2Frame(0, 0, 1, Buffer.alloc(10))])],
    [
      "a window that overflows",
      Buffer.concat([http2Opening, ...Array(3).fill(http2Frame(8, 0, 0, Buffer.of(0x7f, 0xff, 0xff, 0xff)))]),
    ],
    [
      "a header block that cannot be read",
      Buffer.concat([http2Opening, http2Frame(1, 5, 1, Buffer.alloc(50, 0xff))]),
    ],
  ])("one that sends %s is closed", async (_, bytes) => {
    using raw = await connectRaw(fixture.service.port);
    raw.socket.write(bytes);
    raw.socket.end();
    expectNoLeak((await raw.closed).toString("latin1"));
  });

  it("one that opens a hundred calls and aborts them at once leaves no work behind", async () => {
    using session = await connectHttp2(fixture.url);
    const calls = Array.from({ length: 100 }, () => {
      const call = session.request({
        ":method": "POST",
        ":path": withProgress,
        "content-type": "application/grpc+json",
      });
      call.end(enveloped(JSON.stringify({ spec: { ...small, steps: 100 } })));
      call.close(constants.NGHTTP2_CANCEL);
      return untilClosed(call);
    });
    await Promise.all(calls);
    await untilIdle();
  });

  it("a hundred calls that are aborted once they are accepted leave no work behind", async () => {
    const client = clientOf(createGrpcTransport({ baseUrl: fixture.url, sessionManager }));
    const calls = Array.from({ length: 100 }, async () => {
      const stop = new AbortController();
      const events = client.generateWithProgress({ spec: { ...small, steps: 100 } }, { signal: stop.signal });
      const failure = await failureOf(
        (async () => {
          for await (const _ of events) {
            stop.abort();
          }
        })(),
      );
      expect(failure.code).toBe("Canceled");
    });
    await Promise.all(calls);
    await untilIdle();
  });

  it("one that resets thousands of calls is cut off, and others go on", async () => {
    using session = await connectHttp2(fixture.url);
    const closed = new Promise((resolve) => session.once("close", resolve));
    for (let i = 0; i < 5_000 && !session.destroyed; i++) {
      const call = session.request({
        ":method": "POST",
        ":path": generate,
        "content-type": "application/grpc",
      });
      void untilClosed(call);
      call.close(constants.NGHTTP2_CANCEL);
    }
    session.close();
    await closed;
    await untilIdle();
  });
});

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly bytes: Buffer;
  readonly json: unknown;
  readonly everything: string;
  /** The failure that it holds, expected under this status of HTTP. */
  failure(status: number): RpcFailure;
}

function post(path: string, body: JsonObject): Promise<Answer> {
  return postBytes(path, Buffer.from(JSON.stringify(body)), { "content-type": "application/json" });
}

/** Sends what curl would, and reads the answer to its end. */
async function postBytes(path: string, body: Uint8Array, headers: Record<string, string>): Promise<Answer> {
  const response = await http1.request({ path, method: "POST", headers, body });
  const bytes = Buffer.from(await response.body.arrayBuffer());
  const isJson = String(response.headers["content-type"]).startsWith("application/json");
  const json: unknown = isJson ? JSON.parse(bytes.toString()) : undefined;
  return {
    status: response.statusCode,
    headers: response.headers,
    bytes,
    json,
    everything: `${JSON.stringify(response.headers)}\n${bytes.toString("latin1")}`,
    failure(status) {
      expect([response.statusCode, bytes.toString("utf8", 0, 500)]).toEqual([status, expect.anything()]);
      expect(response.headers["x-request-id"]).toMatch(/./);
      return failureFromJson(json);
    },
  };
}

/** The failure in the last envelope of a streamed answer of the Connect protocol. */
function endOfStream(bytes: Buffer): RpcFailure {
  let end: string | undefined;
  for (let at = 0; at < bytes.length; at += 5 + bytes.readUInt32BE(at + 1)) {
    if ((bytes.readUInt8(at) & 2) !== 0) {
      end = bytes.toString("utf8", at + 5, at + 5 + bytes.readUInt32BE(at + 1));
    }
  }
  return failureFromJson(z.object({ error: z.unknown() }).parse(JSON.parse(end ?? "{}")).error);
}

function failureFromJson(json: unknown): RpcFailure {
  const fallback = new ConnectError("the answer is no error of the Connect protocol", Code.Unknown);
  return toRpcFailure(errorFromJson(z.json().parse(json), undefined, fallback));
}

interface GrpcEnd {
  readonly status: number;
  readonly message: string;
  readonly everything: string;
}

/** Sends bytes as a call of gRPC or gRPC-Web over HTTP/2, and reads the status from wherever it stands. */
async function callGrpc(
  path: string,
  body: Uint8Array,
  contentType: string,
  headers: Record<string, string> = {},
): Promise<GrpcEnd> {
  using session = await connectHttp2(fixture.url);
  const call = session.request({
    ":method": "POST",
    ":path": path,
    "content-type": contentType,
    te: "trailers",
    ...headers,
  });
  const found: Record<string, unknown> = {};
  call.on("response", (head) => Object.assign(found, head));
  call.on("trailers", (trailers) => Object.assign(found, trailers));
  call.end(body);
  const content = await readAll(call);
  for (const [, name = "", value] of content.matchAll(/(grpc-[a-z-]+): ?(.*)\r\n/g)) {
    found[name] = value; // gRPC-Web has its trailers in the body
  }
  return {
    status: Number(found["grpc-status"]),
    message: decodeURIComponent(String(found["grpc-message"] ?? "")),
    everything: `${decodeURIComponent(String(found["grpc-message"] ?? ""))}\n${JSON.stringify(found)}\n${content}`,
  };
}

/** Waits until a call is over, be it answered or reset. */
function untilClosed(call: ClientHttp2Stream): Promise<void> {
  return new Promise((resolve) => {
    call.on("error", () => {}); // "close" follows
    call.once("close", resolve);
  });
}

/** One message, in the frame that gRPC and streams of the Connect protocol put around it. */
function enveloped(message: string | Uint8Array, flags = 0): Buffer {
  const bytes = Buffer.from(message);
  const head = Buffer.alloc(5);
  head.writeUInt8(flags, 0);
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

function clientOf(transport: Transport) {
  return createClient(ImageService, transport);
}

/** Waits until neither the service nor the engine has anything left to do. */
async function untilIdle(): Promise<void> {
  const { health } = clientOf(createGrpcTransport({ baseUrl: fixture.url, sessionManager }));
  await waitUntil(async () => {
    const { health: service } = await health({});
    const { running, pending } = await queueOf(fixture.engine.url);
    return (
      service?.queuedJobCount === 0 && service.runningJobCount === 0 && running.length + pending.length === 0
    );
  }, "nothing is left to do");
}
