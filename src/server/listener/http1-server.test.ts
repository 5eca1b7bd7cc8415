import { describe, expect, it } from "vitest";
import { openListener } from "../../../test/support/open-listener.ts";
import { connectRaw } from "../../../test/support/raw-client.ts";

describe("HTTP/1.1", () => {
  it("answers 408 to a request whose head does not come to an end, and closes", async () => {
    await using listener = await openListener({ headersTimeoutMs: 50 });
    using client = await connectRaw(listener.port);
    client.socket.write("GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ");
    expect((await client.closed).toString()).toContain("408 Request Timeout");
  });

  it("closes a connection whose request body does not come to an end", async () => {
    await using listener = await openListener({
      requestTimeoutMs: 100,
      handler: (req) => req.resume(), // as a method does that waits for the rest
    });
    using client = await connectRaw(listener.port);
    client.socket.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{");
    await client.closed;
  });

  it("closes a connection that pauses too long between requests", async () => {
    await using listener = await openListener({ idleTimeoutMs: 50 });
    using client = await connectRaw(listener.port);
    client.socket.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    expect((await client.closed).toString()).toContain("200 OK");
  });

  it("answers 431 to a flood of headers, and serves the next client", async () => {
    await using listener = await openListener({ maxHeaderBytes: 8_192 });
    using client = await connectRaw(listener.port);
    client.socket.write(`GET / HTTP/1.1\r\nHost: a\r\n${"X-Flood: aaaaaaaaaa\r\n".repeat(1_000)}\r\n`);
    expect((await client.closed).toString()).toContain("431 Request Header Fields Too Large");
    expect(await (await fetch(listener.url)).text()).toBe("1.1");
  });

  it("answers 400 to what is no HTTP", async () => {
    await using listener = await openListener();
    using client = await connectRaw(listener.port);
    client.socket.write("how do you do\r\n\r\n");
    expect((await client.closed).toString()).toContain("400 Bad Request");
  });

  it("serves a second request on the same connection", async () => {
    await using listener = await openListener();
    using client = await connectRaw(listener.port);
    const request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    client.socket.write(request + request);
    await client.receive((bytes) => bytes.toString().split("200 OK").length === 3);
  });
});
