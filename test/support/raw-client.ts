import { once } from "node:events";
import { connect, type Socket } from "node:net";

/** A TCP client that sends exactly what it is told to, and speaks no protocol by itself. */
export interface RawClient extends Disposable {
  readonly socket: Socket;
  /** Resolves with everything received once the server has closed the connection. */
  readonly closed: Promise<Buffer>;
  /** Resolves with everything received so far once `found` says yes to it; rejects after ten seconds. */
  receive(found: (received: Buffer) => boolean): Promise<Buffer>;
}

export async function connectRaw(port: number): Promise<RawClient> {
  const socket = connect({ port, host: "127.0.0.1" });
  await once(socket, "connect");
  let received = Buffer.alloc(0);
  const closed = Promise.withResolvers<Buffer>();
  // A server that destroys a connection resets it as well; 'close' follows.
  socket.on("error", () => {});
  socket.on("data", (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
  });
  socket.once("close", () => closed.resolve(received));

  return {
    socket,
    closed: closed.promise,
    async receive(found) {
      const signal = AbortSignal.timeout(10_000);
      while (!found(received)) await once(socket, "data", { signal });
      return received;
    },
    [Symbol.dispose]: () => socket.destroy(),
  };
}

/** Bytes that every HTTP/2 connection begins with, and empty settings. */
export const http2Opening = Buffer.concat([
  Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
  http2Frame(4, 0, 0),
]);

/** `GET /` on the first stream of an HTTP/2 connection, its head compressed by hand (RFC 7541 appendix A). */
export const http2Get = http2Frame(1, 0b101, 1, Buffer.from([0x82, 0x86, 0x84, 0x41, 1, 0x61]));

/** The beginning of `POST <path>` with a JSON body of unknown length, on the first stream of an HTTP/2 connection. */
export function http2PostJson(path: string): Buffer {
  const text = (value: string) => Buffer.concat([Buffer.of(value.length), Buffer.from(value)]);
  const head = [Buffer.of(0x83, 0x86, 0x41), text("a"), Buffer.of(0x04), text(path)];
  head.push(Buffer.of(0x0f, 0x10), text("application/json"));
  return http2Frame(1, 0b100, 1, Buffer.concat(head));
}

/** One frame of HTTP/2 (RFC 9113 § 4.1). */
export function http2Frame(
  type: number,
  flags: number,
  streamId: number,
  payload: Buffer = Buffer.alloc(0),
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, payload]);
}

export interface Http2Frame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
}

/** The complete frames in `bytes`, in order. */
export function http2Frames(bytes: Buffer): Http2Frame[] {
  const frames: Http2Frame[] = [];
  for (let at = 0; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3)) {
    if (at + 9 + bytes.readUIntBE(at, 3) > bytes.length) break;
    frames.push({
      type: bytes.readUInt8(at + 3),
      flags: bytes.readUInt8(at + 4),
      streamId: bytes.readUInt32BE(at + 5),
    });
  }
  return frames;
}
