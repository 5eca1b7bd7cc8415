import { ServiceError } from "../domain/errors.ts";
import type { ResolvedOutput } from "../domain/generation.ts";
import { type ImageFormat, type ImageInfo, mediaTypeOf } from "../domain/image.ts";
import type { ImageCodec } from "../imaging/image-codec.ts";
import { readPngHeader } from "../imaging/png-header.ts";
import { inOnePiece } from "../lib/in-one-piece.ts";
import type { Slots } from "../lib/slots.ts";
import type { BlobStore, StagedBlob } from "../storage/blob-store.ts";

export interface StageImageDependencies {
  readonly blobs: Pick<BlobStore, "stage">;
  readonly codec: ImageCodec;
  /** Bounds how many images are held in memory. */
  readonly encoding: Slots;
}

/** An image as the backend made it. */
export interface SourceImage {
  readonly blob: StagedBlob;
  /** Its first bytes, 64 at least. */
  readonly head: Uint8Array;
  readonly format: ImageFormat;
}

/** An image as it is to be kept. */
export type StagedImage = Pick<ImageInfo, "format" | "widthPx" | "heightPx"> & { readonly blob: StagedBlob };

/**
 * Makes of an image what its caller wants. Where that is PNG, it stays in the format that the backend chose, and as it is
 * but for its metadata. What is made anew belongs to `opened`.
 *
 * @throws ServiceError `NO_OUTPUT` if it is an image that cannot be read; `OUTPUT_TOO_LARGE`
 */
export async function stageImage(
  { blobs, codec, encoding }: StageImageDependencies,
  { blob, head, format }: SourceImage,
  output: ResolvedOutput,
  opened: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<StagedImage> {
  const png = readPngHeader(head);
  if (png !== undefined && output.format === "png" && !output.stripMetadata) {
    return { ...png, blob };
  }
  assertFitsMemory(blob);
  return await encoding.run(async () => {
    const source = await blob.bytes(signal);
    const stage = async (data: Uint8Array) =>
      opened.use(await blobs.stage(inOnePiece(data), Number.MAX_SAFE_INTEGER, signal));
    if (output.format !== "png") {
      const { data, ...facts } = await codec.encode(source, output.format, output.quality);
      return { ...facts, blob: await stage(data) };
    }
    const facts = await codec.measure(source, format);
    return { ...facts, blob: output.stripMetadata ? await stage(await codec.strip(source)) : blob };
  }, signal);
}

/** The format of an image that we return as such; `undefined` for other things. */
export function formatOfMediaType(mediaType: string): ImageFormat | undefined {
  return formats.get(mediaType);
}

const formats: ReadonlyMap<string, ImageFormat> = new Map(
  (["png", "jpeg", "webp", "avif"] as const).map((format) => [mediaTypeOf[format], format]),
);

/** More than the largest picture has: 16 bit in four channels, uncompressed, for 4 megapixels. */
const maxHeldBytes = 256 * 1024 * 1024;

function assertFitsMemory({ sizeBytes }: StagedBlob): void {
  if (sizeBytes > maxHeldBytes) {
    throw new ServiceError(
      "OUTPUT_TOO_LARGE",
      `the workflow left an image of ${sizeBytes} bytes, which is too large to be encoded anew; ask for PNG with its metadata`,
      { metadata: { size_bytes: `${sizeBytes}`, limit_bytes: `${maxHeldBytes}` } },
    );
  }
}
