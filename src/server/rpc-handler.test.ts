import { execFile } from "node:child_process";
import { once } from "node:events";
import { setTimeout } from "node:timers/promises";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import {
  compressionGzip,
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import {
  createConnectTransport as createBrowserConnectTransport,
  createGrpcWebTransport as createBrowserGrpcWebTransport,
} from "@connectrpc/connect-web";
import { credentials, status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { ImageService } from "../../gen/comfyrpc/v1/image_service_pb.js";
import { connectGrpcJs } from "../../test/support/grpc-js-client.ts";
import { connectHttp2 } from "../../test/support/http2-client.ts";
import {
  connectRaw,
  http2Frame,
  http2Frames,
  http2Opening,
  http2PostJson,
} from "../../test/support/raw-client.ts";
import { type RpcServerOptions, startRpcServer } from "../../test/support/start-rpc-server.ts";
import { testCertificate } from "../../test/support/test-certificate.ts";
import { requestIdOf } from "./request-id.ts";

const generate = "/comfyrpc.v1.ImageService/Generate";
const imageServiceProto = "comfyrpc/v1/image_service.proto";
const withProgress = "/comfyrpc.v1.ImageService/GenerateWithProgress";

/** Gives back the prompt: as an id of a node, or as the id of a job in three events. */
const echo: NonNullable<RpcServerOptions["images"]> = {
  generate: ({ spec }) => ({ images: [{ nodeId: spec?.prompt ?? "" }] }),
  async *generateWithProgress({ spec }) {
    for (const sequence of [1n, 2n, 3n]) yield { event: { sequence, jobId: spec?.prompt ?? "" } };
  },
  health: () => ({}),
};

const transports: Record<string, (baseUrl: string) => Transport> = {
  "gRPC over HTTP/2": (baseUrl) => createGrpcTransport({ baseUrl }),
  "gRPC-Web over HTTP/1.1": (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: "1.1" }),
  "gRPC-Web over HTTP/2": (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: "2" }),
  "gRPC-Web by fetch": (baseUrl) => createBrowserGrpcWebTransport({ baseUrl }),
  "Connect over HTTP/1.1": (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "1.1" }),
  "Connect over HTTP/2": (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "2" }),
  "Connect by fetch": (baseUrl) => createBrowserConnectTransport({ baseUrl }),
};

describe.each(Object.entries(transports))("%s", (_, createTransport) => {
  it("carries calls and streams", async () => {
    await using server = await startRpcServer({ images: echo });
    const client = createClient(ImageService, createTransport(server.url));
    const response = await client.generate({ spec: { prompt: "füchse" } });
    expect(response.images[0]?.nodeId).toBe("füchse");

    const events = await Array.fromAsync(client.generateWithProgress({ spec: { prompt: "owls" } }));
    expect(events.map(({ event }) => [event?.sequence, event?.jobId])).toEqual([
      [1n, "owls"],
      [2n, "owls"],
      [3n, "owls"],
    ]);
  });

  it("tells a client that its message is too large, and serves the next", async () => {
    await using server = await startRpcServer({ images: echo, readMaxBytes: 100_000 });
    const client = createClient(ImageService, createTransport(server.url));
    const call = client.generate({ spec: { prompt: "a".repeat(5_000_000) } });
    await expect(call).rejects.toMatchObject({ code: Code.ResourceExhausted });
    expect((await client.generate({})).images).toHaveLength(1);
  });

  it("carries a message of several megabytes", async () => {
    const data = Buffer.alloc(8_000_000, "fox");
    await using server = await startRpcServer({ images: { generate: () => ({ images: [{ data }] }) } });
    const client = createClient(ImageService, createTransport(server.url));
    const response = await client.generate({});
    expect(Buffer.compare(response.images[0]?.data ?? Buffer.alloc(0), data)).toBe(0);
  });

  it("says that a method is not implemented", async () => {
    await using server = await startRpcServer();
    const client = createClient(ImageService, createTransport(server.url));
    await expect(client.generate({})).rejects.toMatchObject({ code: Code.Unimplemented });
  });
});

describe("compression", () => {
  it.each([
    ["gRPC", (baseUrl: string) => createGrpcTransport({ baseUrl, sendCompression: compressionGzip })],
    [
      "gRPC-Web",
      (baseUrl: string) =>
        createGrpcWebTransport({ baseUrl, httpVersion: "1.1", sendCompression: compressionGzip }),
    ],
    [
      "Connect",
      (baseUrl: string) =>
        createConnectTransport({ baseUrl, httpVersion: "1.1", sendCompression: compressionGzip }),
    ],
  ])("of requests is understood in %s, and bounded by the size that it unpacks to", async (_, transport) => {
    await using server = await startRpcServer({ images: echo, readMaxBytes: 100_000 });
    const client = createClient(ImageService, transport(server.url));
    const small = await client.generate({ spec: { prompt: "a".repeat(50_000) } });
    expect(small.images[0]?.nodeId).toHaveLength(50_000);
    const bomb = client.generate({ spec: { prompt: "a".repeat(50_000_000) } });
    await expect(bomb).rejects.toMatchObject({ code: Code.ResourceExhausted });
  });

  it("of requests is bounded in the stream of a server-streaming method", async () => {
    await using server = await startRpcServer({ images: echo, readMaxBytes: 100_000 });
    const packed = gzipSync(Buffer.alloc(50_000_000));
    const envelope = Buffer.alloc(5);
    envelope.writeUInt8(1, 0);
    envelope.writeUInt32BE(packed.length, 1);
    const response = await fetch(server.url + withProgress, {
      method: "POST",
      headers: { "content-type": "application/connect+proto", "connect-content-encoding": "gzip" },
      body: Buffer.concat([envelope, packed]),
    });
    expect(await response.text()).toContain("resource_exhausted");
  });

  it("of responses is not used", async () => {
    await using server = await startRpcServer({
      images: { generate: () => ({ images: [{ nodeId: "a".repeat(100_000) }] }) },
    });
    const response = await postJson(server.url + generate, "{}", { "accept-encoding": "gzip" });
    expect(response.headers.get("content-encoding")).toBeNull();
    expect((await response.arrayBuffer()).byteLength).toBeGreaterThan(100_000);
  });

  it("that the server does not know is refused with a list of what it knows", async () => {
    await using server = await startRpcServer({ images: echo });
    const response = await postJson(server.url + generate, "{}", { "content-encoding": "br" });
    expect(await response.json()).toMatchObject({
      code: "unimplemented",
      message: expect.stringContaining("gzip"),
    });
  });
});

describe("independent clients", () => {
  it("grpc-js calls and streams", async () => {
    await using server = await startRpcServer({ images: echo });
    using client = await connectGrpcJs(server.address, imageServiceProto);
    const request = { spec: { prompt: "fox" } };
    expect(await client.call(generate, request)).toMatchObject({ images: [{ nodeId: "fox" }] });
    expect(await Array.fromAsync(client.stream(withProgress, request))).toHaveLength(3);
  });

  it("grpc-js calls over TLS", async () => {
    await using server = await startRpcServer({ images: echo, tls: testCertificate });
    const channel = credentials.createSsl(Buffer.from(testCertificate.certificate));
    using client = await connectGrpcJs(`localhost:${server.port}`, imageServiceProto, channel);
    const response = await client.call(generate, { spec: { prompt: "fox" } });
    expect(response).toMatchObject({ images: [{ nodeId: "fox" }] });
  });

  it("grpc-js gets UNIMPLEMENTED with the names of the methods for an unknown one", async () => {
    await using server = await startRpcServer({ images: echo });
    using client = await connectGrpcJs(server.address, imageServiceProto);
    expect(await client.callUnknown("/comfyrpc.v1.ImageService/Paint")).toMatchObject({
      code: status.UNIMPLEMENTED,
      details: `there is no method /comfyrpc.v1.ImageService/Paint; there is ${generate}, ${withProgress}, /comfyrpc.v1.ImageService/Health`,
    });
  });

  it.each([
    ["grpc", "--http2-prior-knowledge"],
    ["grpcweb", "--http2-prior-knowledge"],
    ["connect", "--http2-prior-knowledge"],
    ["grpcweb", "--schema=proto"],
    ["connect", "--schema=proto"],
  ])("buf curl speaks %s (%s)", async (protocol, option) => {
    await using server = await startRpcServer({ images: echo });
    const data = JSON.stringify({ spec: { prompt: "fox" } });
    const lines = await run("node_modules/.bin/buf", [
      "curl",
      `--protocol=${protocol}`,
      option,
      `--data=${data}`,
      server.url + withProgress,
    ]);
    expect(lines.match(/"jobId": "fox"/g)).toHaveLength(3);
  });

  it.each(["--http1.1", "--http2-prior-knowledge"])("curl posts JSON (%s)", async (version) => {
    await using server = await startRpcServer({ images: echo });
    const answer = await run("curl", [
      "--silent",
      version,
      "--header",
      "content-type: application/json",
      "--data",
      '{"spec":{"prompt":"a red fox"}}',
      server.url + generate,
    ]);
    expect(JSON.parse(answer)).toEqual({ images: [{ nodeId: "a red fox" }] });
  });

  it("a plain GET calls a method without side effects", async () => {
    await using server = await startRpcServer({ images: echo });
    const query = "?encoding=json&message=%7B%7D&connect=v1";
    const response = await fetch(`${server.url}/comfyrpc.v1.ImageService/Health${query}`);
    expect([response.status, await response.json()]).toEqual([200, {}]);
  });
});

describe("a request that is no call", () => {
  it("to a method that does not exist gets 404 and the names of those that do", async () => {
    await using server = await startRpcServer({ images: echo });
    const response = await postJson(`${server.url}/comfyrpc.v1.ImageService/Generat`, "{}");
    expect(response.status).toBe(404);
    expect(await response.json()).toEqual({
      code: "unimplemented",
      message: `there is no method /comfyrpc.v1.ImageService/Generat; there is ${generate}, ${withProgress}, /comfyrpc.v1.ImageService/Health`,
    });
  });

  it("to any other path gets 404 and the names of the services", async () => {
    await using server = await startRpcServer();
    const response = await fetch(`${server.url}/${"x".repeat(500)}`);
    expect(response.status).toBe(404);
    const { code, message } = (await response.json()) as Record<string, string>;
    expect(code).toBe("unimplemented");
    expect(message).toContain("comfyrpc.v1.ImageService");
    expect(message).not.toContain("x".repeat(101));
  });

  it("to an unknown method is UNIMPLEMENTED in gRPC-Web", async () => {
    await using server = await startRpcServer();
    const response = await fetch(`${server.url}/comfyrpc.v1.ImageService/Paint`, {
      method: "POST",
      headers: { "content-type": "application/grpc-web+proto" },
      body: Buffer.alloc(5),
    });
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("application/grpc-web+proto");
    expect(response.headers.get("grpc-status")).toBe("12");
  });

  it("with the wrong verb gets 405 and the right one", async () => {
    await using server = await startRpcServer({ images: echo });
    const response = await fetch(server.url + generate);
    expect([response.status, response.headers.get("allow")]).toEqual([405, "POST"]);
    expect(await response.json()).toMatchObject({ message: "Generate takes POST" });
  });

  it("with the wrong content type gets 415 and the right ones", async () => {
    await using server = await startRpcServer({ images: echo });
    const response = await postJson(server.url + withProgress, "{}");
    expect(response.status).toBe(415);
    expect(response.headers.get("accept-post")).toContain("application/connect+json");
    expect(await response.json()).toEqual({
      code: "invalid_argument",
      message:
        "GenerateWithProgress does not take application/json; it takes application/connect+json, application/connect+proto, application/grpc, application/grpc-web",
    });
  });

  it("with two-way streaming over HTTP/1.1 gets 505", async () => {
    await using server = await startRpcServer();
    const response = await fetch(`${server.url}/grpc.reflection.v1.ServerReflection/ServerReflectionInfo`, {
      method: "POST",
      headers: { "content-type": "application/connect+proto" },
    });
    expect(response.status).toBe(505);
    expect(await response.text()).toContain("HTTP/2");
  });

  it("with broken JSON gets 400", async () => {
    await using server = await startRpcServer({ images: echo });
    const response = await postJson(server.url + generate, '{"spec":');
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ code: "invalid_argument" });
  });

  it.each(["Host: [", "Host:", "Host: a:b:c"])(
    "with the head line %j gets 400, and the next is served",
    async (host) => {
      await using server = await startRpcServer({ images: echo });
      using client = await connectRaw(server.port);
      client.socket.write(
        `POST ${generate} HTTP/1.1\r\n${host}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}`,
      );
      const answer = await client.receive((bytes) => bytes.includes("\r\n\r\n"));
      expect(answer.toString()).toContain("400 Bad Request");
      expect((await postJson(server.url + generate, "{}")).status).toBe(200);
    },
  );

  it("by HTTP/1.0 without a host gets 400", async () => {
    await using server = await startRpcServer({ images: echo });
    using client = await connectRaw(server.port);
    client.socket.write(
      `POST ${generate} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}`,
    );
    expect((await client.closed).toString()).toContain("400 Bad Request");
  });
});

describe("an answer to a request that is still being sent", () => {
  it.each([
    ["to an unknown path", "/a.B/C"],
    ["with a message that is too large", generate],
  ])("%s is ended over HTTP/2 before anything resets the call", async (_, path) => {
    await using server = await startRpcServer({ images: echo, readMaxBytes: 100 });
    using client = await connectRaw(server.port);
    const [data, reset, windowUpdate] = [0, 3, 8];
    client.socket.write(http2Opening);
    await client.receive((bytes) => http2Frames(bytes).some(({ type }) => type === windowUpdate));
    const body = http2Frame(data, 0, 1, Buffer.alloc(16_384, "{"));
    client.socket.write(Buffer.concat([http2PostJson(path), ...Array.from({ length: 60 }, () => body)]));
    const ends = (bytes: Buffer) =>
      http2Frames(bytes).filter(
        ({ type, flags, streamId }) => streamId === 1 && (type === reset || (flags & 1) === 1),
      );
    const received = await client.receive((bytes) => ends(bytes).length > 0);
    expect(ends(received).map(({ type }) => type)).toEqual([data]);
  });

  it.each([
    ["to an unknown path", "/a.B/C"],
    ["with a message that is too large", generate],
  ])("%s leaves an HTTP/1.1 connection usable", async (_, path) => {
    await using server = await startRpcServer({ images: echo, readMaxBytes: 100 });
    using client = await connectRaw(server.port);
    client.socket.write(
      `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 500000\r\n\r\n`,
    );
    client.socket.write("{".repeat(1_000));
    await client.receive((bytes) => /"message":".*}/.test(bytes.toString()));
    client.socket.write("{".repeat(499_000));
    client.socket.write("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    await client.receive((bytes) => bytes.includes("\r\n\r\nok"));
  });
});

describe("a large answer", () => {
  it("is not cut off while its client reads it slowly", async () => {
    const data = Buffer.alloc(4_000_000);
    await using server = await startRpcServer({
      limits: { stalledStreamTimeoutMs: 100 },
      images: { generate: () => ({ images: [{ data }] }) },
    });
    using session = await connectHttp2(server.url);
    const post = () => {
      const stream = session.request({
        ":method": "POST",
        ":path": generate,
        "content-type": "application/proto",
      });
      stream.on("error", () => {});
      return stream.end();
    };
    const slow = post();
    const stopped = post(); // its end shows when the time is over
    let over = false;
    stopped.once("close", () => {
      over = true;
    });
    let receivedBytes = 0;
    for await (const chunk of slow) {
      receivedBytes += chunk.length;
      if (!over) await setTimeout(1);
    }
    expect(receivedBytes).toBeGreaterThan(data.length);
    expect(over).toBe(true);
  });
});

describe("probes", () => {
  it("say that the process lives and whether it is ready", async () => {
    await using server = await startRpcServer();
    expect(await statusAndBody(`${server.url}/healthz`)).toEqual([200, "ok\n"]);
    expect(await statusAndBody(`${server.url}/readyz`)).toEqual([200, '{"ready":true}\n']);
    server.setReady(false);
    expect(await statusAndBody(`${server.url}/healthz`)).toEqual([200, "ok\n"]);
    expect(await statusAndBody(`${server.url}/readyz`)).toEqual([
      503,
      '{"ready":false,"reason":"no backend is up"}\n',
    ]);
  });

  it("may be asked by HEAD", async () => {
    await using server = await startRpcServer();
    const response = await fetch(`${server.url}/healthz`, { method: "HEAD" });
    expect([response.status, await response.text()]).toEqual([200, ""]);
  });
});

describe("request ids", () => {
  it("of the caller are kept, seen by the method and sent back", async () => {
    let seen = "";
    await using server = await startRpcServer({
      images: {
        generate: (_, { requestHeader }) => {
          seen = requestIdOf(requestHeader);
          return {};
        },
      },
    });
    const response = await postJson(server.url + generate, "{}", { "x-request-id": "order-17/a" });
    expect([seen, response.headers.get("x-request-id")]).toEqual(["order-17/a", "order-17/a"]);
  });

  it.each(["a b", "a".repeat(129), "", 'x"y'])("such as %j are replaced", async (id) => {
    await using server = await startRpcServer();
    const response = await fetch(`${server.url}/healthz`, { headers: { "x-request-id": id } });
    expect(response.headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
  });

  it("are new for every call that brings none, errors included", async () => {
    await using server = await startRpcServer();
    const ids = new Set<string | null>();
    for (const path of ["/healthz", generate, "/nothing"]) {
      ids.add((await postJson(server.url + path, "{}")).headers.get("x-request-id"));
    }
    expect(ids.size).toBe(3);
    expect(ids).not.toContain(null);
  });
});

describe("an answer that is larger than allowed", () => {
  it("is refused, and the next call is served", async () => {
    await using server = await startRpcServer({ images: echo, writeMaxBytes: 1_000 });
    const client = createClient(ImageService, createGrpcTransport({ baseUrl: server.url }));
    const call = client.generate({ spec: { prompt: "a".repeat(2_000) } });
    await expect(call).rejects.toMatchObject({ code: Code.ResourceExhausted });
    expect((await client.generate({})).images).toHaveLength(1);
  });
});

describe("a shutdown", () => {
  it("ends a call that outlives the grace time with UNAVAILABLE", async () => {
    const started = Promise.withResolvers<void>();
    await using server = await startRpcServer({
      images: {
        async *generateWithProgress(_, { signal }) {
          yield {};
          started.resolve();
          await once(signal, "abort");
          throw signal.reason;
        },
      },
    });
    using client = await connectGrpcJs(server.address, imageServiceProto);
    const call = Array.fromAsync(client.stream(withProgress, {}));
    const failure = expect(call).rejects.toMatchObject({ code: status.UNAVAILABLE });
    await started.promise;
    await server.listener.drain(0, AbortSignal.timeout(10_000));
    await failure;
  });
});

describe("deadlines", () => {
  it("reach the signal of the method", async () => {
    const aborted = Promise.withResolvers<void>();
    await using server = await startRpcServer({
      images: {
        generate: (_, { signal }) => {
          signal.addEventListener("abort", () => aborted.resolve());
          return aborted.promise.then(() => {
            throw ConnectError.from(signal.reason);
          });
        },
      },
    });
    const response = await postJson(server.url + generate, "{}", { "connect-timeout-ms": "50" });
    expect(await response.json()).toMatchObject({ code: "deadline_exceeded" });
  });

  it.each([
    ["connect-timeout-ms", "9999999999"],
    ["grpc-timeout", "99999999H"],
    ["grpc-timeout", "99999999S"],
  ])("longer than any timer are no deadline: %s: %s", async (name, value) => {
    let remainingMs: number | undefined = -1;
    await using server = await startRpcServer({
      images: {
        generate: (_, context) => {
          remainingMs = context.timeoutMs();
          context.signal.throwIfAborted();
          return {};
        },
      },
    });
    const grpc = name === "grpc-timeout";
    const response = await fetch(server.url + generate, {
      method: "POST",
      headers: { "content-type": grpc ? "application/grpc-web+proto" : "application/proto", [name]: value },
      body: Buffer.alloc(grpc ? 5 : 0),
    });
    expect(response.status).toBe(200);
    expect(remainingMs).toBeUndefined();
  });
});

function postJson(url: string, body: string, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(url, { method: "POST", headers: { "content-type": "application/json", ...headers }, body });
}

async function statusAndBody(url: string): Promise<[number, string]> {
  const response = await fetch(url);
  return [response.status, await response.text()];
}

async function run(command: string, args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(command, args, { timeout: 10_000 });
  return stdout;
}
