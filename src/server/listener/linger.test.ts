import { once } from "node:events";
import { describe, expect, it } from "vitest";
import { connectHttp2, readText } from "../../../test/support/http2-client.ts";
import { openListener } from "../../../test/support/open-listener.ts";
import { connectRaw } from "../../../test/support/raw-client.ts";
import { type HttpHandler, isHttp2Response } from "./http-handler.ts";

/** Answers when the first bytes of the request are there, and does not read on. */
const answerEarly: HttpHandler = (req, res) => {
  req.once("data", () => {
    req.pause();
    if (isHttp2Response(res)) res.end("too much");
    else res.end("too much");
  });
};

describe("an answer that comes before the request is complete", () => {
  it("reaches an HTTP/2 client that sends on", async () => {
    await using listener = await openListener({ handler: answerEarly });
    using session = await connectHttp2(listener.url);
    const stream = session.request({ ":method": "POST", ":path": "/" });
    stream.write(Buffer.alloc(4_000_000));
    expect(await readText(stream)).toBe("too much");
    stream.end();
    await once(stream, "close", { signal: AbortSignal.timeout(10_000) });
    expect(stream.rstCode).toBe(0);
  });

  it("reaches an HTTP/1.1 client that sends on, and leaves the connection usable", async () => {
    await using listener = await openListener({ handler: answerEarly });
    using client = await connectRaw(listener.port);
    const body = Buffer.alloc(4_000_000);
    const head = `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n`;
    for (let answers = 1; answers <= 2; answers++) {
      client.socket.write(head);
      client.socket.write(body);
      await client.receive((bytes) => bytes.toString().split("too much").length === answers + 1);
    }
  });
});
