import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import type { Logger } from "../../telemetry/logger.ts";
import type { InnerServer } from "./http1-server.ts";
import type { TlsIdentity } from "./listener-options.ts";
import { sniffProtocol } from "./sniff-protocol.ts";

/** Takes connections and gives each to the server of the version of HTTP that it speaks. Not yet listening. */
export interface Front {
  readonly server: Server;
  /** Closes the connections that have not yet shown what they speak. */
  dropUndecided(): void;
}

/** Speaks plaintext: HTTP/2 with prior knowledge, or HTTP/1.1. */
export function createPlaintextFront(sniffTimeoutMs: number, http1: InnerServer, http2: InnerServer): Front {
  const undecided = new Set<Socket>();
  // With half-open sockets, an HTTP/2 client that closes its connection would not be noticed.
  const server = createServer({ allowHalfOpen: false, noDelay: true }, (socket) => {
    undecided.add(socket);
    socket.once("close", () => undecided.delete(socket));
    sniffProtocol(socket, sniffTimeoutMs, (protocol) => {
      undecided.delete(socket);
      (protocol === "http2" ? http2 : http1).accept(socket);
    });
  });
  return {
    server,
    dropUndecided() {
      for (const socket of undecided) socket.destroy();
    },
  };
}

/**
 * Speaks TLS: HTTP/2 or HTTP/1.1 by ALPN, HTTP/1.1 without it. Handshakes under way are not dropped by
 * `dropUndecided`, since Node does not show them; they end by themselves or by their timeout.
 *
 * @throws Error if certificate or key cannot be read, or do not belong together
 */
export function createTlsFront(
  { certificate, privateKey }: TlsIdentity,
  handshakeTimeoutMs: number,
  http1: InnerServer,
  http2: InnerServer,
  logger: Logger,
): Front {
  const server = createTlsServer(
    {
      cert: certificate,
      key: privateKey,
      ALPNProtocols: ["h2", "http/1.1"],
      minVersion: "TLSv1.2",
      handshakeTimeout: handshakeTimeoutMs,
      allowHalfOpen: false,
      noDelay: true,
    },
    (socket) => (socket.alpnProtocol === "h2" ? http2 : http1).accept(socket),
  );
  server.on("tlsClientError", (error, socket) => {
    logger.debug({ err: error }, "TLS handshake failed");
    socket.destroy(); // Node leaves it open when the handshake took too long
  });
  return { server, dropUndecided: () => {} };
}
