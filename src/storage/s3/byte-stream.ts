import type { Readable } from "node:stream";

/**
 * Passes a stream on, and breaks it off if nothing comes for too long while it is waited for. A slow reader does not
 * count as silence. Leaving the loop early destroys the stream.
 */
export async function* withoutSilence(stream: Readable, silenceMs: number): AsyncGenerator<Uint8Array> {
  let isAwaited = false;
  const timer = setTimeout(() => {
    if (isAwaited) {
      stream.destroy(new Error("the server was silent for too long"));
    }
  }, silenceMs);
  const chunks: AsyncIterator<unknown> = stream[Symbol.asyncIterator]();
  try {
    for (;;) {
      timer.refresh();
      isAwaited = true;
      const { done, value } = await chunks.next();
      isAwaited = false;
      if (done) {
        return;
      }
      if (!(value instanceof Uint8Array)) {
        throw new Error("the stream yields something else than bytes");
      }
      yield value;
    }
  } finally {
    clearTimeout(timer);
    stream.on("error", () => {}).destroy();
  }
}

/**
 * Cuts `sizeBytes` bytes anew, into pieces of `chunkBytes` but for the last, each a buffer of its own. What the source
 * has beyond them is left.
 *
 * @throws Error if the source ends before that
 */
export async function* inPieces(
  source: AsyncIterable<Uint8Array>,
  sizeBytes: number,
  chunkBytes: number,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  let remaining = sizeBytes;
  let piece = new Uint8Array(Math.min(chunkBytes, remaining));
  let filled = 0;
  for await (const chunk of source) {
    for (let rest = chunk; rest.length > 0; ) {
      if (remaining === 0) {
        return;
      }
      const fitting = rest.subarray(0, piece.length - filled);
      piece.set(fitting, filled);
      filled += fitting.length;
      rest = rest.subarray(fitting.length);
      if (filled === piece.length) {
        yield piece;
        remaining -= filled;
        piece = new Uint8Array(Math.min(chunkBytes, remaining));
        filled = 0;
      }
    }
  }
  if (remaining > 0) {
    throw new Error("the source ended too early");
  }
}
