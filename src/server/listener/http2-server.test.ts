import { once } from "node:events";
import { constants } from "node:http2";
import { describe, expect, it } from "vitest";
import { connectHttp2, getText } from "../../../test/support/http2-client.ts";
import { openListener } from "../../../test/support/open-listener.ts";
import { connectRaw, http2Frame, http2Opening } from "../../../test/support/raw-client.ts";
import { isHttp2Response } from "./http-handler.ts";

const signal = () => AbortSignal.timeout(10_000);

describe("HTTP/2", () => {
  it("tells clients its limits", async () => {
    await using listener = await openListener({ maxConcurrentStreams: 7, maxHeaderBytes: 8_192 });
    using session = await connectHttp2(listener.url);
    expect(session.remoteSettings).toMatchObject({
      maxConcurrentStreams: 7,
      maxHeaderListSize: 8_192,
      initialWindowSize: 1_048_576,
    });
    await getText(session);
    expect(session.state.remoteWindowSize).toBe(16 * 1_048_576);
  });

  it("refuses a flood of headers, and serves the next call of the connection", async () => {
    await using listener = await openListener({ maxHeaderBytes: 8_192 });
    using session = await connectHttp2(listener.url);
    const flood = session.request({ ":path": "/", "x-flood": "a".repeat(20_000) });
    await expect(once(flood, "response", { signal: signal() })).rejects.toThrow(/NGHTTP2_ENHANCE_YOUR_CALM/);
    expect(await getText(session)).toBe("2.0");
  });

  it("closes a connection that sends headers without end", async () => {
    await using listener = await openListener();
    using client = await connectRaw(listener.port);
    const headers = 1;
    const continuation = 9;
    const filler = Buffer.concat([Buffer.from([0x40, 1, 0x61, 126]), Buffer.alloc(126, "a")]);
    client.socket.write(Buffer.concat([http2Opening, http2Frame(headers, 0, 1, filler)]));
    for (let i = 0; i < 1_000; i++) client.socket.write(http2Frame(continuation, 0, 1, filler));
    await client.closed;
    using session = await connectHttp2(listener.url);
    expect(await getText(session)).toBe("2.0");
  });

  it("goes on with a connection on which a proxy's callers cancel thousands of calls", async () => {
    await using listener = await openListener({
      maxConcurrentStreams: 5_000,
      handler: (req, res) => {
        if (req.url === "/" && isHttp2Response(res)) res.end("2.0");
      },
    });
    using session = await connectHttp2(listener.url);
    for (let round = 0; round < 3; round++) {
      const cancelled = Array.from({ length: 1_000 }, () => {
        const stream = session.request({ ":path": "/watch" });
        stream.on("error", () => {});
        const closed = once(stream, "close", { signal: signal() });
        stream.close(constants.NGHTTP2_CANCEL);
        return closed;
      });
      await Promise.all(cancelled);
    }
    expect(await getText(session)).toBe("2.0");
    expect(session.closed).toBe(false);
  });

  it("resets a call whose request does not go on, and serves the next call of the connection", async () => {
    await using listener = await openListener({
      requestTimeoutMs: 100,
      handler: (req, res) => {
        if (req.method === "GET" && isHttp2Response(res)) res.end("2.0");
        else req.resume();
      },
    });
    using session = await connectHttp2(listener.url);
    const stream = session.request({ ":path": "/", ":method": "POST" });
    stream.on("error", () => {});
    stream.write("{");
    await once(stream, "close", { signal: signal() });
    expect(stream.rstCode).toBe(constants.NGHTTP2_CANCEL);
    expect(await getText(session)).toBe("2.0");
  });

  it("leaves alone a call that has its whole request and takes its time", async () => {
    const quiet = Promise.withResolvers<() => void>();
    await using listener = await openListener({
      requestTimeoutMs: 100,
      handler: (req, res) => {
        if (req.method === "GET" && isHttp2Response(res)) quiet.resolve(() => res.end("at last"));
        else req.resume();
      },
    });
    using session = await connectHttp2(listener.url);
    const answer = getText(session);
    const finish = await quiet.promise;
    // Started later, so its end shows that the time is over for the first one too.
    const stalled = session.request({ ":path": "/", ":method": "POST" });
    stalled.on("error", () => {});
    await once(stalled, "close", { signal: signal() });
    finish();
    expect(await answer).toBe("at last");
  });

  it("takes new calls while large answers wait for a client that does not read them", async () => {
    const large = Buffer.alloc(1_000_000);
    await using listener = await openListener({
      handler: (req, res) => {
        if (isHttp2Response(res)) res.end(req.url === "/large" ? large : "small");
      },
    });
    using session = await connectHttp2(listener.url);
    const stalled = Array.from({ length: 30 }, () => session.request({ ":path": "/large" }));
    await Promise.all(stalled.map((stream) => once(stream, "response", { signal: signal() })));
    expect(await getText(session)).toBe("small");
  });
});
