import type { ImageInfo } from "../../domain/image.ts";
import type { BlobStore } from "../../storage/blob-store.ts";

/** Reads the bytes of an image as one buffer. */
export async function readImage(
  blobs: BlobStore,
  { blobId, sizeBytes }: ImageInfo,
  signal: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  const data = new Uint8Array(sizeBytes);
  let offset = 0;
  for await (const piece of blobs.read(blobId, sizeBytes, signal)) {
    data.set(piece, offset);
    offset += piece.length;
  }
  return data;
}
