import { ServiceError } from "../domain/errors.ts";
import type { ResolvedOutput } from "../domain/generation.ts";
import type { PlannedImage } from "../domain/generation-plan.ts";
import { type ImageInfo, mediaTypeOf } from "../domain/image.ts";
import type { Engine, Output, OutputFile } from "../engine/engine.ts";
import type { ImageCodec } from "../imaging/image-codec.ts";
import { readPngHeader } from "../imaging/png-header.ts";
import { inOnePiece } from "../lib/in-one-piece.ts";
import type { Slots } from "../lib/slots.ts";
import type { AssetStore } from "../storage/asset-store.ts";
import type { BlobStore, StagedBlob } from "../storage/blob-store.ts";
import type { Logger } from "../telemetry/logger.ts";
import { outlastOutage } from "./outlast-outage.ts";

export interface FetchDependencies {
  readonly engine: Engine;
  readonly blobs: BlobStore;
  readonly assets: AssetStore;
  readonly codec: ImageCodec;
  /** Bounds how many images are held in memory to be encoded anew. */
  readonly encoding: Slots;
  readonly logger: Logger;
  readonly now: () => Date;
}

export interface ImageToFetch {
  readonly tenant: string;
  readonly jobId: string;
  readonly index: number;
  readonly image: PlannedImage;
  readonly file: OutputFile;
  readonly output: ResolvedOutput;
}

/** The file that a planned image was saved to, if the node saved one. */
export function fileOf(image: PlannedImage, outputs: readonly Output[]): OutputFile | undefined {
  return outputs.find(
    (output): output is Extract<Output, { kind: "file" }> =>
      output.kind === "file" && output.nodeId === image.saveNodeId && output.key === "images",
  )?.file;
}

/**
 * Fetches one image from the engine, encodes it as asked, and makes it an asset of the job's tenant. A PNG that keeps
 * its metadata passes through as it is, in a stream. While the stores are out of order it tries again, until `signal` is
 * aborted: the backend still has the image.
 *
 * @throws ServiceError `NO_OUTPUT` if the file is missing or is not an image; what `Engine.openOutput` throws
 */
export async function fetchImage(
  deps: FetchDependencies,
  wanted: ImageToFetch,
  signal: AbortSignal,
): Promise<ImageInfo> {
  return await outlastOutage(
    () => fetchOnce(deps, wanted, signal),
    (error) => deps.logger.warn({ err: error, jobId: wanted.jobId }, "cannot store an image; trying again"),
    signal,
  );
}

/** How long an image is kept without a job that refers to it: it does so as soon as the image's event is written. */
const unreferencedMs = 3_600_000;

async function fetchOnce(
  deps: FetchDependencies,
  wanted: ImageToFetch,
  signal: AbortSignal,
): Promise<ImageInfo> {
  const { assets, now } = deps;
  const { tenant, jobId, index, image } = wanted;
  const { staged, ...facts } = await stageImage(deps, wanted, signal);
  await using blob = staged;
  const { sha256, sizeBytes } = blob;
  const createTime = now();
  const seed = image.seed !== undefined && { seed: image.seed };
  // Before the bytes are there, which saves a transaction: nobody hears of the asset before its event is written.
  await assets.put(
    {
      id: sha256,
      tenant,
      sizeBytes,
      mediaType: mediaTypeOf[facts.format],
      widthPx: facts.widthPx,
      heightPx: facts.heightPx,
      fileName: "",
      createTime,
      expireTime: new Date(createTime.getTime() + unreferencedMs),
      origin: { jobId, imageIndex: index, nodeId: image.saveNodeId, ...seed },
    },
    signal,
  );
  await blob.commit(signal);
  return { index, nodeId: image.saveNodeId, ...seed, ...facts, sizeBytes, sha256 };
}

type StagedImage = Pick<ImageInfo, "format" | "widthPx" | "heightPx"> & { readonly staged: StagedBlob };

async function stageImage(
  { engine, blobs, codec, encoding }: FetchDependencies,
  { file, output }: ImageToFetch,
  signal: AbortSignal,
): Promise<StagedImage> {
  const { format, quality } = output;
  if (format !== "png") {
    return await encoding.run(async () => {
      const source = await wholeImage(engine, file, signal);
      const { data, ...facts } = await codec.encode(source, format, quality);
      return { ...facts, staged: await blobs.stage(inOnePiece(data), maxImageBytes, signal) };
    }, signal);
  }
  return output.stripMetadata
    ? await encoding.run(async () => {
        const source = await wholeImage(engine, file, signal);
        return await stagePng(blobs, inOnePiece(await codec.strip(source)), signal);
      }, signal)
    : await stagePng(blobs, (await engine.openOutput(file, signal)).body, signal);
}

/** An image of the engine as one buffer. */
async function wholeImage(engine: Engine, file: OutputFile, signal: AbortSignal): Promise<Uint8Array> {
  const { body } = await engine.openOutput(file, signal);
  const pieces: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const piece of body) {
    sizeBytes += piece.length;
    if (sizeBytes > maxImageBytes) {
      throw new ServiceError("NO_OUTPUT", "the backend returned a file that is too large for an image");
    }
    pieces.push(piece);
  }
  return Buffer.concat(pieces, sizeBytes);
}

async function stagePng(
  blobs: BlobStore,
  body: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<StagedImage> {
  const head = new HeadReader(body);
  const staged = await blobs.stage(head, maxImageBytes, signal);
  const facts = readPngHeader(head.bytes);
  if (facts === undefined) {
    await staged[Symbol.asyncDispose]();
    throw new ServiceError("NO_OUTPUT", "the backend returned a file that is not a PNG image");
  }
  return { ...facts, staged };
}

/** More than the largest picture has: 16 bit in four channels, uncompressed, for 4 megapixels. */
const maxImageBytes = 256 * 1024 * 1024;

/** Passes bytes on and keeps the first of them, for telling what they are. */
class HeadReader implements AsyncIterable<Uint8Array> {
  readonly #body: AsyncIterable<Uint8Array>;
  readonly #head = new Uint8Array(64);
  #sizeBytes = 0;

  constructor(body: AsyncIterable<Uint8Array>) {
    this.#body = body;
  }

  get bytes(): Uint8Array {
    return this.#head.subarray(0, Math.min(this.#sizeBytes, this.#head.length));
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for await (const piece of this.#body) {
      if (this.#sizeBytes < this.#head.length) {
        this.#head.set(piece.subarray(0, this.#head.length - this.#sizeBytes), this.#sizeBytes);
      }
      this.#sizeBytes += piece.length;
      yield piece;
    }
  }
}
