import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { testCertificate } from "./test-certificate.ts";

/** A proxy as operators put in front of ComfyUI. */
export interface TlsProxy extends AsyncDisposable {
  /** `https://127.0.0.1:…/comfy/` */
  readonly url: string;
  /** Headers of every request that was let through, WebSocket handshakes included. */
  readonly seen: readonly IncomingMessage["headers"][];
}

export interface TlsProxyOptions {
  /** Where the server behind it is. */
  readonly target: string;
  /** Header that a request must have, lowercase, and its value; others get 401. */
  readonly required: readonly [name: string, value: string];
}

/** Starts a proxy that speaks TLS, takes away the base path `/comfy`, and lets no one in without a header. */
export async function startTlsProxy({ target, required }: TlsProxyOptions): Promise<TlsProxy> {
  const seen: IncomingMessage["headers"][] = [];
  const isAllowed = (req: IncomingMessage) =>
    req.headers[required[0]] === required[1] && req.url?.startsWith("/comfy/") === true;
  const forward = (req: IncomingMessage) => {
    seen.push(req.headers);
    const url = new URL(req.url?.slice("/comfy".length) ?? "", target);
    return request(url, { method: req.method ?? "GET", headers: req.headers });
  };
  const server = createServer(
    { cert: testCertificate.certificate, key: testCertificate.privateKey },
    (req, res) => {
      if (!isAllowed(req)) {
        res.writeHead(401).end("<html>unauthorized</html>");
        return;
      }
      const upstream = forward(req);
      upstream.on("response", (answer) => {
        res.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(res);
      });
      upstream.on("error", () => res.destroy());
      req.pipe(upstream);
    },
  );
  const tunnels = new Set<Duplex>();
  server.on("upgrade", (req: IncomingMessage, socket: Duplex) => {
    if (!isAllowed(req)) {
      socket.end("HTTP/1.1 401 Unauthorized\r\n\r\n");
      return;
    }
    const upstream = forward(req);
    upstream.on("error", () => socket.destroy());
    upstream.on("upgrade", (answer: IncomingMessage, inner: Duplex, head: Buffer) => {
      const lines = answer.rawHeaders.flatMap((part, i, all) =>
        i % 2 === 0 ? `${part}: ${all[i + 1]}\r\n` : [],
      );
      socket.write(`HTTP/1.1 101 Switching Protocols\r\n${lines.join("")}\r\n`);
      inner.unshift(head);
      for (const [from, to] of [
        [socket, inner],
        [inner, socket],
      ] as const) {
        tunnels.add(from);
        from.on("error", () => to.destroy());
        from.on("close", () => to.destroy());
        from.pipe(to);
      }
    });
    upstream.end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `https://127.0.0.1:${port}/comfy/`,
    seen,
    async [Symbol.asyncDispose]() {
      for (const tunnel of tunnels) {
        tunnel.destroy();
      }
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
