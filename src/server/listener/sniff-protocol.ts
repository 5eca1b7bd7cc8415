import type { Socket } from "node:net";

/** What a plaintext connection speaks. */
export type HttpProtocol = "http1" | "http2";

/**
 * Finds out what a new connection speaks, by the preface that every HTTP/2 connection begins with (RFC 9113 § 3.4), and
 * gives the bytes back to the socket. Calls `onDecided` at most once, and not at all for a socket that ends or stays
 * silent: that one is destroyed after `timeoutMs`.
 *
 * The caller must hand the socket on before `onDecided` returns, so that no byte is missed.
 */
export function sniffProtocol(
  socket: Socket,
  timeoutMs: number,
  onDecided: (protocol: HttpProtocol) => void,
): void {
  let seen = Buffer.alloc(0);
  const timer = setTimeout(() => socket.destroy(), timeoutMs);

  const onReadable = () => {
    const chunk: Buffer | null = socket.read();
    if (!chunk) return;
    seen = Buffer.concat([seen, chunk]);
    const protocol = protocolOf(seen);
    if (!protocol) return;
    stop();
    socket.unshift(seen);
    onDecided(protocol);
  };
  // A connection that breaks before its first request concerns nobody.
  const onError = () => socket.destroy();
  const stop = () => {
    clearTimeout(timer);
    socket.off("readable", onReadable).off("error", onError).off("close", stop);
  };
  socket.on("readable", onReadable).on("error", onError).on("close", stop);
}

const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** `undefined` as long as the bytes are a beginning of the preface. */
function protocolOf(bytes: Buffer): HttpProtocol | undefined {
  const length = Math.min(bytes.length, preface.length);
  if (bytes.compare(preface, 0, length, 0, length) !== 0) return "http1";
  return bytes.length >= preface.length ? "http2" : undefined;
}
