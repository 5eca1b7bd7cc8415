import { once } from "node:events";
import { describe, it } from "vitest";
import { connectHttp2 } from "../../../test/support/http2-client.ts";
import { connectRaw } from "../../../test/support/raw-client.ts";
import { startRpcServer } from "../../../test/support/start-rpc-server.ts";

const path = "/comfyrpc.v1.ImageService/GenerateWithProgress";
/** An empty request in the Connect protocol: no flags, no bytes. */
const message = Buffer.alloc(5);

describe("a method that waits for its client to read", () => {
  it("gets to its finally when an HTTP/2 client resets the call", async () => {
    await using call = await startEndlessCall();
    using session = await connectHttp2(call.url);
    const stream = session.request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/connect+proto",
    });
    stream.end(message);
    await once(stream, "response", { signal: AbortSignal.timeout(10_000) });
    stream.close();
    await call.finallyRan;
  });

  it("gets to its finally when an HTTP/2 client closes the connection", async () => {
    await using call = await startEndlessCall();
    using session = await connectHttp2(call.url);
    const stream = session.request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/connect+proto",
    });
    stream.on("error", () => {});
    stream.end(message);
    await once(stream, "response", { signal: AbortSignal.timeout(10_000) });
    session.destroy();
    await call.finallyRan;
  });

  it("gets to its finally when an HTTP/1.1 client closes the connection", async () => {
    await using call = await startEndlessCall();
    using client = await connectRaw(call.port);
    client.socket.write(
      `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/connect+proto\r\nContent-Length: 5\r\n\r\n`,
    );
    client.socket.write(message);
    await client.receive((bytes) => bytes.includes("200 OK"));
    client.socket.pause();
    client.socket.destroy();
    await call.finallyRan;
  });
});

/** A server whose stream never ends by itself, and does not look at its signal. */
async function startEndlessCall() {
  const { promise: finallyRan, resolve } = Promise.withResolvers<void>();
  const server = await startRpcServer({
    images: {
      async *generateWithProgress() {
        try {
          for (;;) yield { event: { jobId: "a".repeat(100_000) } };
        } finally {
          resolve();
        }
      },
    },
  });
  return { ...server, finallyRan };
}
