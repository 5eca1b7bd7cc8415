import { once } from "node:events";
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { type AddressInfo, createServer as createNetServer } from "node:net";
import { describe, expect, it } from "vitest";
import {
  otherTestCertificate,
  testCertificate,
  testCertificateKey,
} from "../../cli/testing/tls-certificate.ts";
import { isPublicAddress } from "../public-address.ts";
import type { FetchLimits } from "../url-fetcher.ts";
import type { Resolve } from "./guarded-connector.ts";
import { createUndiciUrlFetcher, type UrlFetcherDependencies } from "./undici-url-fetcher.ts";

/** Stands for a public address; every other one of this machine is a private one. */
const publicAddress = "127.0.0.1";

const soon = () => AbortSignal.timeout(10_000);

const unreachable = (message: RegExp) =>
  expect.objectContaining({ reason: "INPUT_UNREACHABLE", message: expect.stringMatching(message) });

describe("the fetcher of URLs", () => {
  it("fetches over https what is there, by name, without telling who asks", async () => {
    await using server = await startServer((_request, response) => response.end("picture"));
    expect(await fetchText(server, `https://localhost:${server.port}/a.png?b=c#d`)).toBe("picture");
    const [request] = server.requests;
    expect(request?.url).toBe("/a.png?b=c");
    expect(request?.headers).toEqual({
      host: `localhost:${server.port}`,
      connection: expect.any(String),
      accept: "image/*",
      "user-agent": "comfyrpc",
    });
  });

  it("refuses a certificate that is not for the host, or that nobody vouches for", async () => {
    await using server = await startServer((_request, response) => response.end("picture"));
    const url = `https://other.example:${server.port}/`;
    await expect(fetchText(server, url)).rejects.toEqual(unreachable(/the connection failed/));
    const untrusting = { ca: otherTestCertificate };
    await expect(fetchText(server, `https://localhost:${server.port}/`, {}, untrusting)).rejects.toEqual(
      unreachable(/the connection failed/),
    );
    expect(server.requests).toEqual([]);
  });

  it.each([
    ["a private address", "https://127.0.0.2:PORT/", []],
    ["a private address in IPv6", "https://[::1]:PORT/", []],
    ["one that stands for IPv4", "https://[::ffff:127.0.0.2]:PORT/", []],
    ["one in disguise", "https://0x7f.2:PORT/", []],
    ["a name of a private address", "https://localhost:PORT/", ["127.0.0.2", "10.0.0.1", "::1"]],
    ["a name of nothing", "https://localhost:PORT/", []],
  ])(
    "connects to %s never, and does not tell whether anything is there",
    async (_what, pattern, addresses) => {
      await using server = await startServer((_request, response) => response.end("secret"), "0.0.0.0");
      let connections = 0;
      server.onConnection = () => connections++;
      const resolve: Resolve = async () => {
        if (addresses.length === 0) {
          throw new Error("ENOTFOUND");
        }
        return addresses;
      };
      const failure = fetchText(server, pattern.replace("PORT", `${server.port}`), {}, { resolve });
      await expect(failure).rejects.toEqual(
        unreachable(/^the image could not be fetched: its host has no public address$/),
      );
      expect(connections).toBe(0);
    },
  );

  it("connects to the public one among the addresses of a host", async () => {
    await using server = await startServer((_request, response) => response.end("picture"));
    const resolve: Resolve = async () => ["10.0.0.1", publicAddress, "::1"];
    expect(await fetchText(server, `https://localhost:${server.port}/`, {}, { resolve })).toBe("picture");
  });

  it("connects to the address that was looked at, whatever the name leads to a moment later", async () => {
    await using inner = await startServer((_request, response) => response.end("secret"), "127.0.0.2");
    await using server = await startServer(
      (_request, response) => response.end("picture"),
      publicAddress,
      inner.port,
    );
    const asked: string[] = [];
    const resolve: Resolve = async (hostname) => [asked.push(hostname) === 1 ? publicAddress : "127.0.0.2"];
    expect(await fetchText(server, `https://localhost:${server.port}/`, {}, { resolve })).toBe("picture");
    expect(asked).toEqual(["localhost"]);
    await expect(fetchText(server, `https://localhost:${server.port}/`, {}, { resolve })).rejects.toEqual(
      unreachable(/no public address/),
    );
    expect(inner.requests).toEqual([]);
  });

  it("leaves a connection that has led elsewhere all the same", async () => {
    await using server = await startServer((_request, response) => response.end("secret"));
    let looks = 0;
    const isAllowed = () => looks++ === 0; // as if it had been taken over on its way
    await expect(fetchText(server, `https://localhost:${server.port}/`, {}, { isAllowed })).rejects.toEqual(
      unreachable(/no public address/),
    );
    expect(server.requests).toEqual([]);
  });

  it("follows redirects, relative ones too", async () => {
    await using server = await startServer((request, response) => {
      const next = { "/a": "b", "/b": `https://localhost:${server.port}/c` }[request.url ?? ""];
      if (next === undefined) {
        response.end("picture");
      } else {
        response.writeHead(request.url === "/a" ? 301 : 307, { location: next }).end("moved");
      }
    });
    expect(await fetchText(server, `https://localhost:${server.port}/a`)).toBe("picture");
    expect(server.requests.map(({ url }) => url)).toEqual(["/a", "/b", "/c"]);
  });

  it.each([
    ["a private address", "https://127.0.0.2:PORT/", /its host has no public address/],
    ["a name of one", "https://inner.example:PORT/", /its host has no public address/],
    ["plain http", "http://localhost:PORT/", /does not fetch from/],
    ["a file", "file:///etc/passwd", /does not fetch from/],
    ["another port", "https://localhost:1/", /does not fetch from/],
    ["an address with a password", "https://me:secret@localhost:PORT/", /does not fetch from/],
    ["nonsense", "https://", /does not fetch from/],
    ["itself", "/", /too often/],
  ])("does not follow a redirect to %s", async (_what, pattern, message) => {
    await using server = await startServer((_request, response) => {
      response.writeHead(302, { location: pattern.replace("PORT", `${server.port}`) }).end();
    }, "0.0.0.0");
    const resolve: Resolve = async (host) => [host === "localhost" ? publicAddress : "127.0.0.2"];
    const failure = fetchText(server, `https://localhost:${server.port}/`, {}, { resolve });
    await expect(failure).rejects.toEqual(unreachable(message));
    expect(server.requests.length).toBe(pattern === "/" ? 4 : 1);
  });

  it("does not follow a redirect to a host that is none of the certain ones", async () => {
    await using server = await startServer((_request, response) => {
      response.writeHead(302, { location: `https://other.example:${server.port}/` }).end();
    });
    const failure = fetchText(server, `https://localhost:${server.port}/`, { hosts: ["localhost"] });
    await expect(failure).rejects.toEqual(unreachable(/does not fetch from/));
  });

  it.each([404, 500, 204, 304, 302])("takes no answer with HTTP %i", async (status) => {
    await using server = await startServer((_request, response) => response.writeHead(status).end());
    await expect(fetchText(server, `https://localhost:${server.port}/`)).rejects.toEqual(
      unreachable(new RegExp(`HTTP ${status}`)),
    );
  });

  it("fetches over plain http only where that is allowed", async () => {
    await using server = await startServer(
      (_request, response) => response.end("picture"),
      publicAddress,
      0,
      false,
    );
    const url = `http://localhost:${server.port}/`;
    await expect(fetchText(server, url)).rejects.toMatchObject({ reason: "INVALID_FIELD" });
    expect(await fetchText(server, url, { allowHttp: true })).toBe("picture");
  });

  it.each([
    ["says nothing", () => {}],
    ["sends a body that does not end", (response: ServerResponse) => void response.write("pic")],
    [
      "sends it drop by drop",
      (response: ServerResponse) => {
        const timer = setInterval(() => response.write("."), 5);
        response.on("close", () => clearInterval(timer));
      },
    ],
  ])("gives up in time on a server that %s", async (_what, answer) => {
    await using server = await startServer((_request, response) => answer(response));
    const failure = fetchText(server, `https://localhost:${server.port}/`, { timeoutMs: 200 });
    await expect(failure).rejects.toEqual(unreachable(/did not come within 0.2 s/));
    await server.untilFree();
  });

  it("gives up in time on a server that does not shake hands, and on a silent name server", async () => {
    await using stack = new AsyncDisposableStack();
    const deaf = createNetServer(() => {}).listen(0, publicAddress);
    stack.defer(() => void deaf.close());
    await once(deaf, "listening");
    deaf.on("connection", (socket) => stack.defer(() => void socket.destroy()));
    const { port } = deaf.address() as AddressInfo;
    const url = `https://localhost:${port}/`;
    const late = unreachable(/did not come within/);
    await expect(fetchText({ port }, url, { timeoutMs: 100 })).rejects.toEqual(late);
    const resolve: Resolve = (_host, signal) =>
      new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    await expect(fetchText({ port }, url, { timeoutMs: 100 }, { resolve })).rejects.toEqual(late);
  });

  it("says so if the file breaks off", async () => {
    await using server = await startServer((_request, response) => {
      response.writeHead(200, { "content-length": 100 }).write("pic", () => response.destroy());
    });
    await expect(fetchText(server, `https://localhost:${server.port}/`)).rejects.toEqual(
      unreachable(/failed or broke off/),
    );
  });

  it("says the same of a server that refuses as of one that speaks something else", async () => {
    let port = 0;
    {
      await using server = await startServer((_request, response) => response.end());
      port = server.port;
    }
    const message = /^the image could not be fetched: the connection failed or broke off$/;
    await expect(fetchText({ port }, `https://localhost:${port}/`)).rejects.toEqual(unreachable(message));
    await using plain = await startServer((_request, response) => response.end(), publicAddress, 0, false);
    await expect(fetchText(plain, `https://localhost:${plain.port}/`)).rejects.toEqual(unreachable(message));
  });

  it("ends the request when its reader has enough, or its signal is aborted", async () => {
    await using server = await startServer(
      (_request, response) => void response.write(Buffer.alloc(1_000_000)),
    );
    const fetcher = fetcherFor(server);
    const url = `https://localhost:${server.port}/`;
    for await (const piece of fetcher.fetch(url, soon())) {
      expect(piece.length).toBeGreaterThan(0);
      break;
    }
    await server.untilFree();
    const abort = new AbortController();
    const read = async () => {
      for await (const _ of fetcher.fetch(url, abort.signal)) {
        abort.abort(new Error("enough"));
      }
    };
    await expect(read()).rejects.toThrow("enough");
    await server.untilFree();
  });

  it("knows by itself which addresses are public", async () => {
    await using server = await startServer((_request, response) => response.end("secret"));
    const fetcher = createUndiciUrlFetcher(limits, { ports: [server.port], ca: testCertificate });
    for (const host of ["127.0.0.1", "localhost"]) {
      expect(isPublicAddress("127.0.0.1")).toBe(false);
      const read = Array.fromAsync(fetcher.fetch(`https://${host}:${server.port}/`, soon()));
      await expect(read).rejects.toEqual(unreachable(/no public address/));
    }
    expect(server.requests).toEqual([]);
  });
});

const limits: FetchLimits = { allowHttp: false, hosts: [], timeoutMs: 10_000, maxRedirects: 3 };

function fetcherFor(
  { port }: { readonly port: number },
  some: Partial<FetchLimits> = {},
  deps: UrlFetcherDependencies = {},
) {
  return createUndiciUrlFetcher(
    { ...limits, ...some },
    {
      ports: [port],
      ca: testCertificate,
      resolve: async () => [publicAddress],
      isAllowed: (address) => address === publicAddress,
      ...deps,
    },
  );
}

async function fetchText(
  server: { readonly port: number },
  url: string,
  some: Partial<FetchLimits> = {},
  deps: UrlFetcherDependencies = {},
): Promise<string> {
  const pieces = await Array.fromAsync(fetcherFor(server, some, deps).fetch(url, soon()));
  return Buffer.concat(pieces).toString();
}

/** A server with the certificate for `localhost`, or one without any. */
async function startServer(
  handle: (request: IncomingMessage, response: ServerResponse) => void,
  address = publicAddress,
  port = 0,
  tls = true,
) {
  const requests: IncomingMessage[] = [];
  const listener = (request: IncomingMessage, response: ServerResponse) => {
    requests.push(request);
    handle(request, response);
  };
  const server = tls
    ? createHttpsServer({ cert: testCertificate, key: testCertificateKey }, listener)
    : createHttpServer(listener);
  server.listen(port, address);
  await once(server, "listening");
  const started = {
    port: (server.address() as AddressInfo).port,
    requests,
    onConnection: () => {},
    /** Resolves when nobody is connected. */
    async untilFree() {
      await expect
        .poll(() => new Promise((resolve) => server.getConnections((_, count) => resolve(count))))
        .toBe(0);
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
  server.on("connection", () => started.onConnection());
  return started;
}
