import { once } from "node:events";
import { describe, expect, it } from "vitest";
import { connectHttp2, getText } from "../../../test/support/http2-client.ts";
import { openListener } from "../../../test/support/open-listener.ts";
import { connectRaw, http2Frames, http2Get, http2Opening } from "../../../test/support/raw-client.ts";
import { isHttp2Response } from "./http-handler.ts";

const signal = () => AbortSignal.timeout(10_000);

describe("an HTTP/2 connection", () => {
  it("is closed if its client does not answer pings", async () => {
    await using listener = await openListener({ pingIntervalMs: 30, pingTimeoutMs: 30 });
    using client = await connectRaw(listener.port);
    client.socket.write(Buffer.concat([http2Opening, http2Get]));
    const ping = 6;
    expect(http2Frames(await client.closed).map(({ type }) => type)).toContain(ping);
  });

  it("stays open as long as its client answers pings", async () => {
    await using listener = await openListener({ pingIntervalMs: 30, pingTimeoutMs: 5_000 });
    using session = await connectHttp2(listener.url);
    for (let pings = 0; pings < 3; pings++) await once(session, "ping", { signal: signal() });
    expect(await getText(session)).toBe("2.0");
  });

  it("is closed if no call comes", async () => {
    await using listener = await openListener({ headersTimeoutMs: 50 });
    using session = await connectHttp2(listener.url);
    await once(session, "close", { signal: signal() });
  });

  it("stays open between calls", async () => {
    await using listener = await openListener({ headersTimeoutMs: 50 });
    using session = await connectHttp2(listener.url);
    await getText(session);
    // Opened later, so its end shows that the time is over for the first one too.
    using other = await connectHttp2(listener.url);
    await once(other, "close", { signal: signal() });
    expect(await getText(session)).toBe("2.0");
  });

  it("takes no new calls at its greatest age, and finishes the running ones", async () => {
    const waiting = Promise.withResolvers<() => void>();
    await using listener = await openListener({
      maxSessionAgeMs: 50,
      handler: (_, res) => {
        if (isHttp2Response(res)) waiting.resolve(() => res.end("done"));
      },
    });
    using session = await connectHttp2(listener.url);
    const goaway = once(session, "goaway", { signal: signal() });
    const answer = getText(session);
    const finish = await waiting.promise;
    await goaway;
    finish();
    expect(await answer).toBe("done");
    await expect(getText(session)).rejects.toThrow();
  });
});
