const header = "grpc-message";

/**
 * Passes `body` on and then writes the message of the gRPC status in `trailer` as the specification has it: only `%`
 * and what is not printable ASCII is percent-encoded. The RPC library encodes punctuation too, which a client may leave
 * as it is, grpc-js for one, so that people would read `%3A` for a colon.
 * See https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses
 */
export async function* withPlainStatusMessage(
  body: AsyncIterable<Uint8Array>,
  trailer: Headers,
): AsyncGenerator<Uint8Array> {
  yield* body;
  const message = trailer.get(header);
  if (message !== null) {
    trailer.set(header, encodeStatusMessage(decodeURIComponent(message)));
  }
}

/** Percent-encodes what must be, and nothing else. A lone surrogate becomes U+FFFD. */
export function encodeStatusMessage(message: string): string {
  return message.toWellFormed().replace(/[^\x20-\x24\x26-\x7e]/gu, encodeURIComponent);
}
