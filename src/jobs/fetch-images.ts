import { buffer } from "node:stream/consumers";
import { ServiceError } from "../domain/errors.ts";
import type { ResolvedOutput } from "../domain/generation.ts";
import type { ImageInfo } from "../domain/image.ts";
import type { PlannedImage } from "../domain/text-to-image.ts";
import type { Engine, Output, OutputFile } from "../engine/engine.ts";
import type { ImageCodec } from "../imaging/image-codec.ts";
import { readPngHeader } from "../imaging/png-header.ts";
import type { BlobInfo, BlobStore } from "../storage/blob-store.ts";

export interface FetchDependencies {
  readonly engine: Engine;
  readonly blobs: BlobStore;
  readonly codec: ImageCodec;
}

/** The file that a planned image was saved to, if the node saved one. */
export function fileOf(image: PlannedImage, outputs: readonly Output[]): OutputFile | undefined {
  return outputs.find(
    (output): output is Extract<Output, { kind: "file" }> =>
      output.kind === "file" && output.nodeId === image.saveNodeId && output.key === "images",
  )?.file;
}

/**
 * Fetches one image from the engine, encodes it as asked and stores it. A PNG passes through as it is, in a stream.
 *
 * @throws ServiceError `NO_OUTPUT` if the file is missing or is not an image
 */
export async function fetchImage(
  { engine, blobs, codec }: FetchDependencies,
  { index, image, file, output }: ImageToFetch,
  signal: AbortSignal,
): Promise<ImageInfo> {
  const { body } = await engine.openOutput(file, signal);
  const common = { index, nodeId: image.saveNodeId, seed: image.seed };
  if (output.format === "png") {
    const blob = await blobs.put(body, signal);
    const facts = readPngHeader(blob.head);
    if (facts === undefined) {
      await blobs.remove(blob.id);
      throw new ServiceError("NO_OUTPUT", "the backend returned a file that is not a PNG image");
    }
    return { ...common, ...facts, ...addressOf(blob) };
  }
  const { data, ...facts } = await codec.encode(await buffer(body), output.format, output.quality);
  return { ...common, ...facts, ...addressOf(await blobs.put(once(data), signal)) };
}

export interface ImageToFetch {
  readonly index: number;
  readonly image: PlannedImage;
  readonly file: OutputFile;
  readonly output: ResolvedOutput;
}

function addressOf({ id, sizeBytes, sha256 }: BlobInfo): {
  blobId: string;
  sizeBytes: number;
  sha256: string;
} {
  return { blobId: id, sizeBytes, sha256 };
}

async function* once(data: Uint8Array): AsyncGenerator<Uint8Array> {
  yield data;
}
