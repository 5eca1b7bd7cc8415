import { once } from "node:events";
import { constants } from "node:http2";
import { describe, expect, it } from "vitest";
import { connectHttp2, readText } from "../../../test/support/http2-client.ts";
import { openListener } from "../../../test/support/open-listener.ts";
import { connectRaw } from "../../../test/support/raw-client.ts";
import { type HttpResponse, isHttp2Response } from "./http-handler.ts";

const signal = () => AbortSignal.timeout(10_000);
const piece = Buffer.alloc(64 * 1024);

describe("an answer whose client has stopped reading", () => {
  it("is reset on HTTP/2, while other calls of the connection go on", async () => {
    const quiet = Promise.withResolvers<() => void>();
    await using listener = await openListener({
      stalledStreamTimeoutMs: 100,
      handler: (req, res) => {
        if (req.url === "/endless") writeForEver(res);
        else quiet.resolve(() => end(res, "at last"));
      },
    });
    using session = await connectHttp2(listener.url);
    const silent = session.request({ ":path": "/quiet" });
    const finish = await quiet.promise;
    const stopped = session.request({ ":path": "/endless" });
    stopped.on("error", () => {});
    await once(stopped, "close", { signal: signal() });
    expect(stopped.rstCode).toBe(constants.NGHTTP2_CANCEL);

    finish();
    expect(await readText(silent)).toBe("at last");
  });

  it("is reset on HTTP/2 also if all of it has been written", async () => {
    await using listener = await openListener({
      stalledStreamTimeoutMs: 100,
      handler: (_, res) => end(res, "a".repeat(1_000_000)),
    });
    using session = await connectHttp2(listener.url);
    const stopped = session.request({ ":path": "/" });
    stopped.on("error", () => {});
    await once(stopped, "close", { signal: signal() });
    expect(stopped.rstCode).toBe(constants.NGHTTP2_CANCEL);
  });

  it("closes the connection on HTTP/1.1", async () => {
    const closed = Promise.withResolvers<void>();
    await using listener = await openListener({
      stalledStreamTimeoutMs: 100,
      handler: (_, res) => {
        res.once("close", () => closed.resolve());
        writeForEver(res);
      },
    });
    using client = await connectRaw(listener.port);
    client.socket.pause();
    client.socket.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    await closed.promise;
  });

  it("is left alone as long as its client reads now and then", async () => {
    await using listener = await openListener({
      stalledStreamTimeoutMs: 100,
      handler: (req, res) => writeForEver(res, req.url === "/slow" ? 200 : Number.POSITIVE_INFINITY),
    });
    using session = await connectHttp2(listener.url);
    const slow = session.request({ ":path": "/slow" });
    const stopped = session.request({ ":path": "/endless" });
    stopped.on("error", () => {});
    const over = once(stopped, "close", { signal: signal() });
    let receivedBytes = 0;
    let reading = true;
    void over.then(() => {
      reading = false;
    });
    for await (const chunk of slow) {
      receivedBytes += chunk.length;
      // Until the other stream is cut off, one small read in each turn of the event loop.
      if (reading) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await over;
    expect(receivedBytes).toBe(200 * piece.length);
  });
});

/** Writes piece after piece, `count` of them, each when the one before has been taken. */
function writeForEver(res: HttpResponse, count = Number.POSITIVE_INFINITY): void {
  if (count === 0) {
    end(res, "");
    return;
  }
  if (isHttp2Response(res)) res.write(piece);
  else res.write(piece);
  res.once("drain", () => {
    if (!res.writableEnded) writeForEver(res, count - 1);
  });
}

function end(res: HttpResponse, text: string): void {
  if (isHttp2Response(res)) res.end(text);
  else res.end(text);
}
