/** Bytes that are there already, for who takes a stream. */
export async function* inOnePiece(data: Uint8Array): AsyncGenerator<Uint8Array> {
  yield data;
}
