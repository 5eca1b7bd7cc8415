/** A message as gRPC, gRPC-Web and streams of Connect frame it: a byte of flags, four of length, the data. */
export interface Envelope {
  readonly flags: number;
  readonly data: Buffer;
}

/** Frames one message, without flags. */
export function envelope(data: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(data.length, 1);
  return Buffer.concat([head, data]);
}

/**
 * Cuts bytes into messages, as they become whole.
 *
 * @throws Error if the bytes end within a message
 */
export async function* envelopesIn(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Envelope> {
  let parts: Uint8Array[] = [];
  let sizeBytes = 0;
  let wantedBytes = 5;
  for await (const part of bytes) {
    parts.push(part);
    sizeBytes += part.length;
    if (sizeBytes < wantedBytes) continue;
    let rest = Buffer.concat(parts);
    for (;;) {
      wantedBytes = rest.length < 5 ? 5 : 5 + rest.readUInt32BE(1);
      if (rest.length < wantedBytes) break;
      yield { flags: rest.readUInt8(0), data: rest.subarray(5, wantedBytes) };
      rest = rest.subarray(wantedBytes);
    }
    parts = [rest];
    sizeBytes = rest.length;
  }
  if (sizeBytes > 0) {
    throw new Error(`the stream ended ${sizeBytes} bytes into a message`);
  }
}
