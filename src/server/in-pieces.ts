/**
 * Cuts what is written to a client into pieces of 64 KiB at most, without copying. A large message then leaves step by
 * step, so that a slow reader can be told from one that has stopped, and never holds more than a piece in the buffers of
 * its connection.
 */
export async function* inPieces(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    if (chunk.byteLength <= pieceBytes) {
      yield chunk;
      continue;
    }
    for (let start = 0; start < chunk.byteLength; start += pieceBytes) {
      yield chunk.subarray(start, start + pieceBytes);
    }
  }
}

const pieceBytes = 64 * 1024;
