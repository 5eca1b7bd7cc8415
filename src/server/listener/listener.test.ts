import { execFile } from "node:child_process";
import { once } from "node:events";
import type { ClientHttp2Session } from "node:http2";
import { Agent, get } from "node:https";
import type { Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { connectHttp2, getText, readText } from "../../../test/support/http2-client.ts";
import { openListener } from "../../../test/support/open-listener.ts";
import { connectRaw, http2Frames, http2Get, http2Opening } from "../../../test/support/raw-client.ts";
import { testCertificate } from "../../../test/support/test-certificate.ts";
import { type HttpHandler, type HttpResponse, isHttp2Response } from "./http-handler.ts";

const signal = () => AbortSignal.timeout(10_000);

describe("one plaintext port", () => {
  it("serves curl by HTTP/1.1 and by HTTP/2 with prior knowledge", async () => {
    await using listener = await openListener();
    expect(await curl(listener.url, "--http1.1")).toBe("1.1");
    expect(await curl(listener.url, "--http2-prior-knowledge")).toBe("2.0");
  });

  it("serves a client that asks for an upgrade to h2c by HTTP/1.1", async () => {
    await using listener = await openListener();
    expect(await curl(listener.url, "--http2")).toBe("1.1");
  });

  it("recognises HTTP/1.1 that arrives byte by byte", async () => {
    await using listener = await openListener();
    using client = await connectRaw(listener.port);
    await sendByteByByte(
      client.socket,
      Buffer.from("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"),
    );
    expect((await client.receive((bytes) => bytes.includes("\r\n\r\n1.1"))).toString()).toContain("200 OK");
  });

  it("recognises HTTP/2 that arrives byte by byte", async () => {
    await using listener = await openListener();
    using client = await connectRaw(listener.port);
    await sendByteByByte(client.socket, http2Opening);
    const settings = 4;
    await client.receive((bytes) => http2Frames(bytes).some(({ type }) => type === settings));
  });

  it("serves many clients of both versions that come at once", async () => {
    await using listener = await openListener();
    const answers = await Promise.all(
      Array.from({ length: 100 }, async (_, i) => {
        if (i % 2 === 0)
          return await (await fetch(listener.url, { headers: { connection: "close" } })).text();
        using session = await connectHttp2(listener.url);
        return await getText(session);
      }),
    );
    expect(answers).toEqual(answers.map((_, i) => (i % 2 === 0 ? "1.1" : "2.0")));
  });

  it("closes a connection that stays silent", async () => {
    await using listener = await openListener({ sniffTimeoutMs: 50 });
    using client = await connectRaw(listener.port);
    expect(await client.closed).toHaveLength(0);
  });

  it("closes a connection that stops within the HTTP/2 preface", async () => {
    await using listener = await openListener({ sniffTimeoutMs: 50 });
    using client = await connectRaw(listener.port);
    client.socket.write("PRI * HT");
    expect(await client.closed).toHaveLength(0);
  });

  it("closes a connection that mixes the HTTP/2 preface with HTTP/1.1", async () => {
    await using listener = await openListener({ headersTimeoutMs: 100 });
    using client = await connectRaw(listener.port);
    client.socket.write("PRI * HTTP/1.1\r\nHost: a\r\n\r\n");
    expect((await client.closed).toString()).toMatch(/^HTTP\/1.1 4/);
  });

  it("notices an HTTP/2 client that closes its half of the connection", async () => {
    const left = Promise.withResolvers<void>();
    await using listener = await openListener({ handler: (_, res) => res.once("close", left.resolve) });
    using client = await connectRaw(listener.port);
    client.socket.end(Buffer.concat([http2Opening, http2Get]));
    await left.promise;
    await client.closed;
  });

  it("closes connections beyond the limit and keeps serving the others", async () => {
    await using listener = await openListener({ maxConnections: 1 });
    using session = await connectHttp2(listener.url);
    using refused = await connectRaw(listener.port);
    expect(await refused.closed).toHaveLength(0);
    expect(await getText(session)).toBe("2.0");
  });
});

describe("one TLS port", () => {
  const ca = testCertificate.certificate;

  it("serves HTTP/2 by ALPN", async () => {
    await using listener = await openListener({ tls: testCertificate });
    expect(listener.url).toMatch(/^https:/);
    using session = await connectHttp2(listener.url, { ca });
    expect(await getText(session)).toBe("2.0");
  });

  it.each([
    { title: "offers it by ALPN", offered: ["http/1.1"] },
    { title: "does not use ALPN", offered: [] },
  ])("serves HTTP/1.1 to a client that $title", async ({ offered }) => {
    await using listener = await openListener({ tls: testCertificate });
    const agent = new Agent({ ca, ALPNProtocols: offered });
    const request = get(listener.url, { agent });
    const [response] = await once(request, "response", { signal: signal() });
    expect(await response.setEncoding("utf8").toArray()).toEqual(["1.1"]);
  });

  it("refuses versions before TLS 1.2", async () => {
    await using listener = await openListener({ tls: testCertificate });
    const client = connectTls({
      port: listener.port,
      ca,
      minVersion: "TLSv1.1",
      maxVersion: "TLSv1.1",
      ciphers: "DEFAULT@SECLEVEL=0",
    });
    await expect(once(client, "secureConnect")).rejects.toThrow(/alert protocol version/);
  });

  it("closes a connection whose handshake does not come to an end", async () => {
    await using listener = await openListener({ tls: testCertificate, sniffTimeoutMs: 50 });
    using client = await connectRaw(listener.port);
    await client.closed;
  });

  it("closes a connection that shakes hands and then stays silent", async () => {
    await using listener = await openListener({ tls: testCertificate, headersTimeoutMs: 50 });
    for (const protocol of ["h2", "http/1.1"]) {
      const client = connectTls({ port: listener.port, ca, ALPNProtocols: [protocol] });
      client.on("error", () => {});
      client.resume();
      await once(client, "close", { signal: signal() });
    }
  });

  it("does not start with a key that does not fit", async () => {
    const tls = { ...testCertificate, privateKey: "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----" };
    await expect(openListener({ tls })).rejects.toThrow();
  });
});

describe("opening the port", () => {
  it("says which address is taken", async () => {
    await using listener = await openListener();
    await expect(openListener({ port: listener.port })).rejects.toThrow(`127.0.0.1:${listener.port}`);
  });

  it("gives an address that can be called when it listens on all interfaces", async () => {
    await using listener = await openListener({ host: "0.0.0.0" });
    expect(listener.url).toBe(`http://127.0.0.1:${listener.port}`);
    expect(await (await fetch(listener.url)).text()).toBe("1.1");
  });

  it("refuses a limit that is out of range, and names it", async () => {
    await expect(openListener({ maxHeaderBytes: 10 })).rejects.toThrow(
      new RangeError("maxHeaderBytes must be a whole number from 1024 to 1048576, not 10"),
    );
  });
});

describe("drain", () => {
  it("lets running calls of both versions end, and takes no new connection", async () => {
    const calls = new CallsInTheAir();
    await using listener = await openListener({ handler: calls.handler });
    using session = await connectHttp2(listener.url);
    const overHttp2 = readText(session.request({ ":path": "/" }));
    const overHttp1 = fetch(listener.url);
    const running = await calls.take(2);

    const goaway = once(session, "goaway", { signal: signal() });
    const drained = listener.drain(60_000, signal());
    await goaway;
    await expect(fetch(listener.url)).rejects.toThrow();
    for (const res of running) end(res, "done");

    expect(await overHttp2).toBe("done");
    const response = await overHttp1;
    expect([response.headers.get("connection"), await response.text()]).toEqual(["close", "done"]);
    await drained;
  });

  it("lets an answer end whose head is sent already", async () => {
    const calls = new CallsInTheAir();
    await using listener = await openListener({ handler: calls.handler });
    const answer = fetch(listener.url);
    const [res] = await calls.take(1);
    if (!res || isHttp2Response(res)) throw new Error("no call by HTTP/1.1");
    res.flushHeaders();
    const response = await answer;

    const drained = listener.drain(60_000, signal());
    end(res, "done");
    expect(await response.text()).toBe("done");
    await drained;
  });

  it("does not wait for connections without calls", async () => {
    await using listener = await openListener();
    using silent = await connectRaw(listener.port);
    using idle = await connectHttp2(listener.url);
    await getText(idle);
    await fetch(listener.url).then((response) => response.text()); // fetch keeps its connection
    await listener.drain(60_000, signal());
    await silent.closed;
  });

  it("does not wait for TLS connections without calls", async () => {
    await using listener = await openListener({ tls: testCertificate });
    const ca = testCertificate.certificate;
    const client = connectTls({ port: listener.port, ca, ALPNProtocols: ["http/1.1"] });
    client.on("error", () => {});
    await once(client, "secureConnect", { signal: signal() });
    using session = await connectHttp2(listener.url, { ca });
    await getText(session);
    client.resume();
    await listener.drain(60_000, signal());
  });

  it("aborts calls when the grace time is over, and sends what they answer to that", async () => {
    const shutdown = new AbortController();
    const handler: HttpHandler = (_, res) =>
      shutdown.signal.addEventListener("abort", () => end(res, String(shutdown.signal.reason)));
    await using listener = await openListener({ shutdown, handler });
    using session = await connectHttp2(listener.url);
    const answer = getText(session);
    await getOnePing(session);
    await listener.drain(0, signal());
    expect(await answer).toContain("[unavailable] the server is shutting down");
  });

  it("destroys calls that do not answer to being aborted", async () => {
    const calls = new CallsInTheAir();
    await using listener = await openListener({ handler: calls.handler });
    const call = fetch(listener.url);
    await calls.take(1);
    await Promise.all([expect(call).rejects.toThrow(), listener.drain(0, signal())]);
  });

  it("ends the grace time when its signal is aborted", async () => {
    const shutdown = new AbortController();
    const calls = new CallsInTheAir();
    await using listener = await openListener({ shutdown, handler: calls.handler });
    const call = fetch(listener.url);
    await calls.take(1);
    await Promise.all([expect(call).rejects.toThrow(), listener.drain(60_000, AbortSignal.abort())]);
    expect(shutdown.signal.aborted).toBe(true);
  });

  it("leaves the shutdown signal alone when all calls ended by themselves", async () => {
    const shutdown = new AbortController();
    await using listener = await openListener({ shutdown });
    await listener.drain(60_000, signal());
    expect(shutdown.signal.aborted).toBe(false);
  });

  it("may be asked for twice, and is cut short by disposing", async () => {
    const calls = new CallsInTheAir();
    const listener = await openListener({ handler: calls.handler });
    const call = fetch(listener.url);
    await calls.take(1);
    const first = listener.drain(60_000, signal());
    const second = listener.drain(60_000, signal());
    await Promise.all([expect(call).rejects.toThrow(), listener[Symbol.asyncDispose](), first, second]);
  });
});

/** Keeps the responses of the calls that arrive, for the test to end them. */
class CallsInTheAir {
  readonly #responses: HttpResponse[] = [];
  readonly #arrivals = new EventTarget();

  readonly handler: HttpHandler = (_, res) => {
    this.#responses.push(res);
    this.#arrivals.dispatchEvent(new Event("call"));
  };

  /** Waits until `count` calls have arrived. */
  async take(count: number): Promise<HttpResponse[]> {
    while (this.#responses.length < count) await once(this.#arrivals, "call", { signal: signal() });
    return this.#responses.splice(0, count);
  }
}

function end(res: HttpResponse, text: string): void {
  if (isHttp2Response(res)) res.end(text);
  else res.end(text);
}

async function sendByteByByte(socket: Socket, bytes: Buffer): Promise<void> {
  socket.setNoDelay();
  for (const byte of bytes) {
    const { promise, resolve } = Promise.withResolvers<void>();
    socket.write(Buffer.of(byte), () => setImmediate(resolve));
    await promise;
  }
}

/** After the answer to a ping, the server has seen what was sent before it. */
async function getOnePing(session: ClientHttp2Session): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  session.ping(() => resolve());
  await promise;
}

async function curl(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)("curl", ["--silent", "--max-time", "10", ...args]);
  return stdout;
}
