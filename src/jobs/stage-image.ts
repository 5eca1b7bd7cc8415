import { ServiceError } from "../domain/errors.ts";
import type { ResolvedGeneration, ResolvedOutput } from "../domain/generation.ts";
import type { GenerationPlan } from "../domain/generation-plan.ts";
import { type ImageFormat, type ImageInfo, mediaTypeOf } from "../domain/image.ts";
import { imageParameters } from "../domain/image-parameters.ts";
import { addMetadata } from "../imaging/add-metadata.ts";
import type { AddedMetadata } from "../imaging/added-metadata.ts";
import type { EncodedImage, ImageCodec } from "../imaging/image-codec.ts";
import { readPngHeader } from "../imaging/png-header.ts";
import { inOnePiece } from "../lib/in-one-piece.ts";
import type { Slots } from "../lib/slots.ts";
import type { BlobStore, StagedBlob } from "../storage/blob-store.ts";
import type { Logger } from "../telemetry/logger.ts";

export interface StageImageDependencies {
  readonly blobs: Pick<BlobStore, "stage">;
  readonly codec: ImageCodec;
  /** Bounds how many images are held in memory. */
  readonly encoding: Slots;
  readonly logger: Logger;
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

/** What an image is to become. */
export interface WantedImage {
  readonly generation: ResolvedGeneration;
  readonly plan: GenerationPlan;
  readonly seed?: bigint;
}

/**
 * Makes of an image what its caller wants. Where that is PNG, it stays in the format that the backend chose, and as it is
 * but for its metadata. What is made anew belongs to `opened`.
 *
 * @throws ServiceError `NO_OUTPUT` if it is an image that cannot be read; `OUTPUT_TOO_LARGE`
 */
export async function stageImage(
  { blobs, codec, encoding, logger }: StageImageDependencies,
  { blob, head, format }: SourceImage,
  { generation, plan, ...wanted }: WantedImage,
  opened: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<StagedImage> {
  const { output } = generation;
  const png = readPngHeader(head);
  if (png !== undefined && passesAsPng(output)) {
    return { ...png, blob };
  }
  assertFitsMemory(blob);
  return await encoding.run(async () => {
    const source = await blob.bytes(signal);
    const { data: picture, ...facts } = await encode(codec, source, format, output);
    const parameters = output.metadata === "replace" && {
      parameters: imageParameters(generation.task, plan.graph, { ...facts, ...wanted }),
    };
    const added = { ...markOf(output, plan), ...parameters };
    let data = picture;
    if (Object.keys(added).length > 0) {
      const described = await addMetadata(picture, facts.format, added);
      if (described === undefined) {
        logger.warn(
          { format: facts.format },
          "an image of a workflow has no place for metadata; it stays as it is",
        );
      }
      data = described ?? picture;
    }
    return {
      ...facts,
      blob:
        data === source
          ? blob
          : opened.use(await blobs.stage(inOnePiece(data), Number.MAX_SAFE_INTEGER, signal)),
    };
  }, signal);
}

/**
 * Makes the small version of an image that `output` asks for; `undefined` for none. It belongs to `opened`.
 *
 * @throws ServiceError as {@link stageImage}
 */
export async function stageThumbnail(
  { blobs, codec, encoding }: StageImageDependencies,
  { blob }: StagedImage,
  { generation: { output }, plan }: WantedImage,
  opened: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<StagedImage | undefined> {
  const { thumbnail } = output;
  if (thumbnail === undefined) {
    return undefined;
  }
  assertFitsMemory(blob);
  return await encoding.run(async () => {
    const source = await blob.bytes(signal);
    const { data, ...facts } = await codec.preview(source, thumbnail.maxSidePx, thumbnail.format);
    const marked = (await addMetadata(data, facts.format, markOf(output, plan))) ?? data;
    return { ...facts, blob: opened.use(await blobs.stage(inOnePiece(marked), marked.length, signal)) };
  }, signal);
}

async function encode(
  codec: ImageCodec,
  source: Uint8Array,
  format: ImageFormat,
  output: ResolvedOutput,
): Promise<EncodedImage> {
  if (output.format !== "png") {
    return await codec.encode(source, output.format, output.quality);
  }
  const facts = await codec.measure(source, format);
  return { ...facts, data: output.metadata === "keep" ? source : await codec.strip(source) };
}

/** Whether a PNG of the backend is to be given on with all that it says, so that nobody has to hold it as a whole. */
export function passesAsPng({ format, metadata }: ResolvedOutput): boolean {
  return format === "png" && metadata === "keep";
}

/** What images are to say of their origin. */
export function markOf({ aiMark }: ResolvedOutput, { inputs }: GenerationPlan): AddedMetadata {
  if (!aiMark) {
    return {};
  }
  const digitalSourceType =
    inputs.length > 0 ? "compositeWithTrainedAlgorithmicMedia" : "trainedAlgorithmicMedia";
  // Without its version, so that an update does not make other bytes of the same picture.
  return { xmp: { digitalSourceType, creatorTool: "ComfyRPC" } };
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
