import { isServiceError, ServiceError } from "../domain/errors.ts";
import { type FileKind, fileHeadBytes, kindOfFile } from "../domain/file-kind.ts";
import type { ResolvedGeneration } from "../domain/generation.ts";
import type { GenerationPlan } from "../domain/generation-plan.ts";
import { type ImageInfo, mediaTypeOf, type ThumbnailInfo } from "../domain/image.ts";
import { maxInlineTextBytes, type OutputInfo, type OutputPlace } from "../domain/output.ts";
import type { Engine, Output } from "../engine/engine.ts";
import type { ImageCodec } from "../imaging/image-codec.ts";
import { PngStream } from "../imaging/png-stream.ts";
import { HeadReader } from "../lib/head-reader.ts";
import { inOnePiece } from "../lib/in-one-piece.ts";
import type { Slots } from "../lib/slots.ts";
import type { AssetRecord, AssetStore } from "../storage/asset-store.ts";
import type { BlobStore, StagedBlob } from "../storage/blob-store.ts";
import type { Logger } from "../telemetry/logger.ts";
import { cleanFileName } from "./clean-file-name.ts";
import { outlastOutage } from "./outlast-outage.ts";
import {
  formatOfMediaType,
  markOf,
  passesAsPng,
  type StagedImage,
  stageImage,
  stageThumbnail,
} from "./stage-image.ts";

export interface FetchDependencies {
  readonly engine: Engine;
  readonly blobs: BlobStore;
  readonly assets: AssetStore;
  readonly codec: ImageCodec;
  /** Bounds how many images are held in memory to be encoded anew. */
  readonly encoding: Slots;
  readonly logger: Logger;
  readonly now: () => Date;
  /** Largest output that is kept, in bytes. */
  readonly maxOutputBytes: number;
}

/** What to fetch, and as what. */
export interface WantedOutput {
  readonly tenant: string;
  readonly jobId: string;
  readonly nodeId: string;
  readonly classType: string;
  readonly source: WantedFile | WantedText;
  /** What was asked for, and the graph that it became. */
  readonly generation: ResolvedGeneration;
  readonly plan: GenerationPlan;
  /** Where it was found; absent for what was planned, which has to be an image. */
  readonly place?: OutputPlace;
  /** Of an image that was planned and sampled. */
  readonly seed?: bigint;
  /** Which number it gets if it turns out to be an image, and which if anything else. */
  readonly imageIndex: number;
  readonly outputIndex: number;
}

type WantedFile = Pick<Extract<Output, { kind: "file" }>, "kind" | "file">;
type WantedText = Pick<Extract<Output, { kind: "text" }>, "kind" | "text">;

/** What it turned out to be. */
export type FetchedOutput =
  | { readonly type: "image"; readonly image: ImageInfo }
  | { readonly type: "output"; readonly output: OutputInfo };

/**
 * Fetches what a node left behind, encodes it as asked if it is an image, and makes it an asset of the job's tenant. What
 * need not be changed passes through as it is, in a stream. While the stores are out of order it tries again, until
 * `signal` is aborted: the backend still has it.
 *
 * @throws ServiceError `NO_OUTPUT` if the file is missing, or is not the image that it has to be; `OUTPUT_TOO_LARGE`; what
 * `Engine.openOutput` throws
 */
export async function fetchOutput(
  deps: FetchDependencies,
  wanted: WantedOutput,
  signal: AbortSignal,
): Promise<FetchedOutput> {
  try {
    return await outlastOutage(
      () => fetchOnce(deps, wanted, signal),
      (error) =>
        deps.logger.warn({ err: error, jobId: wanted.jobId }, "cannot store an output; trying again"),
      signal,
    );
  } catch (error) {
    throw isServiceError(error, "ASSET_TOO_LARGE") ? tooLarge(deps, wanted, error) : error;
  }
}

/** How long an output is kept without a job that refers to it: it does so as soon as its event is written. */
const unreferencedMs = 3_600_000;

async function fetchOnce(
  deps: FetchDependencies,
  wanted: WantedOutput,
  signal: AbortSignal,
): Promise<FetchedOutput> {
  await using opened = new AsyncDisposableStack();
  const source = await stageSource(deps, wanted, opened, signal);
  const format = source.kind === "image" ? formatOfMediaType(source.mediaType) : undefined;
  if (format !== undefined) {
    const image = await stageImage(deps, { ...source, format }, wanted, opened, signal);
    const thumbnail = await stageThumbnail(deps, image, wanted, opened, signal);
    return { type: "image", image: await keepImage(deps, wanted, image, thumbnail, signal) };
  }
  if (wanted.place === undefined) {
    throw new ServiceError("NO_OUTPUT", "the backend returned a file that is not a readable image");
  }
  return { type: "output", output: await keepOutput(deps, wanted, wanted.place, source, signal) };
}

/** What the engine gave, as it is. */
interface StagedSource extends FileKind {
  readonly blob: StagedBlob;
  readonly head: Uint8Array;
  /** Without folders; empty for what is no file. */
  readonly fileName: string;
}

async function stageSource(
  { engine, blobs, maxOutputBytes }: FetchDependencies,
  { source, generation: { output }, plan }: WantedOutput,
  opened: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<StagedSource> {
  if (source.kind === "text") {
    const text = Buffer.from(source.text.toWellFormed());
    const blob = opened.use(await blobs.stage(inOnePiece(text), maxOutputBytes, signal));
    return { blob, head: text, fileName: "", kind: "text", mediaType: "text/plain" };
  }
  const { body } = await engine.openOutput(source.file, signal);
  // What will be taken apart is marked when that is done.
  const png = new PngStream(body, passesAsPng(output) ? markOf(output, plan) : {});
  const head = new HeadReader(png, fileHeadBytes);
  const blob = opened.use(await blobs.stage(head, maxOutputBytes, signal));
  const { filename } = source.file;
  const is = png.isAnimated ? animatedPng : kindOfFile(head.bytes, filename);
  return { blob, head: head.bytes, fileName: cleanFileName(filename), ...is };
}

const animatedPng: FileKind = { kind: "animation", mediaType: "image/apng" };

async function keepImage(
  deps: FetchDependencies,
  wanted: WantedOutput,
  image: StagedImage,
  thumbnail: StagedImage | undefined,
  signal: AbortSignal,
): Promise<ImageInfo> {
  const { nodeId, imageIndex: index, seed, place } = wanted;
  return {
    index,
    nodeId,
    ...(seed !== undefined && { seed }),
    ...(await keepPicture(deps, wanted, image, signal)),
    ...(place && { place }),
    ...(thumbnail && { thumbnail: await keepPicture(deps, wanted, thumbnail, signal) }),
  };
}

async function keepPicture(
  deps: FetchDependencies,
  { nodeId, jobId, tenant, imageIndex, seed }: WantedOutput,
  { blob, format, widthPx, heightPx }: StagedImage,
  signal: AbortSignal,
): Promise<ThumbnailInfo> {
  const origin = { jobId, nodeId, imageIndex, ...(seed !== undefined && { seed }) };
  const mediaType = mediaTypeOf[format];
  await keep(deps, blob, { tenant, mediaType, widthPx, heightPx, fileName: "", origin }, signal);
  const { sizeBytes, sha256 } = blob;
  return { format, widthPx, heightPx, sizeBytes, sha256 };
}

async function keepOutput(
  deps: FetchDependencies,
  { nodeId, classType, jobId, tenant, outputIndex: index }: WantedOutput,
  place: OutputPlace,
  { blob, kind, mediaType, fileName }: StagedSource,
  signal: AbortSignal,
): Promise<OutputInfo> {
  const text = kind === "text" ? await inlineText(blob, signal) : undefined;
  await keep(deps, blob, { tenant, mediaType, fileName, origin: { jobId, nodeId } }, signal);
  const { sizeBytes, sha256 } = blob;
  const facts = { kind, mediaType, fileName, sizeBytes, sha256 };
  return { index, nodeId, classType, place, ...facts, ...(text !== undefined && { text }) };
}

/** The text of a blob, if it is a short one. */
async function inlineText(blob: StagedBlob, signal: AbortSignal): Promise<string | undefined> {
  if (blob.sizeBytes > maxInlineTextBytes) {
    return undefined;
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(await blob.bytes(signal));
  } catch (error) {
    if (error instanceof TypeError) {
      return undefined; // not UTF-8
    }
    throw error;
  }
}

type AssetFacts = Omit<AssetRecord, "id" | "sizeBytes" | "createTime" | "expireTime">;

/** Puts bytes into the store, as an asset. */
async function keep(
  { assets, now }: FetchDependencies,
  blob: StagedBlob,
  facts: AssetFacts,
  signal: AbortSignal,
): Promise<void> {
  const { sha256: id, sizeBytes } = blob;
  const createTime = now();
  const expireTime = new Date(createTime.getTime() + unreferencedMs);
  // Before the bytes are there, which saves a transaction: nobody hears of the asset before its event is written.
  await assets.put({ ...facts, id, sizeBytes, createTime, expireTime }, signal);
  await blob.commit(signal);
}

function tooLarge(
  { maxOutputBytes }: FetchDependencies,
  { nodeId }: WantedOutput,
  cause: unknown,
): ServiceError {
  return new ServiceError(
    "OUTPUT_TOO_LARGE",
    `node ${nodeId} left a file of more than ${maxOutputBytes} bytes, which is the most this server keeps`,
    { metadata: { node_id: nodeId, limit_bytes: `${maxOutputBytes}` } },
    { cause },
  );
}
