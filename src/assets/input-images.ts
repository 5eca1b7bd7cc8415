import { LRUCache } from "lru-cache";
import { type ErrorReason, isServiceError, ServiceError } from "../domain/errors.ts";
import type { ImageSource, InputImage } from "../domain/input-image.ts";
import type { UrlFetcher } from "../fetching/url-fetcher.ts";
import type { ImageCodec, InputPicture } from "../imaging/image-codec.ts";
import { isUploadMediaType } from "../imaging/media-type.ts";
import { notAnImage } from "../imaging/rejections.ts";
import type { Clock } from "../lib/clock.ts";
import { inOnePiece } from "../lib/in-one-piece.ts";
import { Slots } from "../lib/slots.ts";
import type { AssetRecord, AssetStore } from "../storage/asset-store.ts";
import type { BlobStore } from "../storage/blob-store.ts";
import { type AssetService, unreferencedInputMs } from "./asset-service.ts";

export interface InputImagesOptions {
  /** Largest picture, width times height, in pixels. A file may be as large as that many pixels are uncompressed. */
  readonly maxPixels: number;
}

export interface InputImagesDependencies {
  readonly assetService: Pick<AssetService, "get" | "takeInput">;
  readonly assets: Pick<AssetStore, "get" | "pinBlob" | "put">;
  readonly blobs: Pick<BlobStore, "read" | "stage">;
  readonly codec: Pick<ImageCodec, "toInput">;
  readonly clock: Clock;
  /** Absent: images are not fetched from elsewhere. */
  readonly fetcher?: UrlFetcher;
}

/** What was found out about an asset, which never changes. */
interface Known extends Omit<InputPicture, "data"> {
  /** Asset that has the picture as backends read it: itself, or a PNG of it. */
  readonly assetId: string;
}

/** Each takes memory for its bytes and its pixels. */
const decodedAtOnce = 2;

const chunkBytes = 1_048_576;

/** Three colours and alpha, 8 bits each. */
const bytesPerPixel = 4;

/**
 * Finds, stores and looks at the images that jobs read. A file that backends may read in different ways, or not at all,
 * is replaced by a PNG of it, which is an asset too.
 */
export class InputImages {
  readonly #maxPixels: number;
  readonly #deps: InputImagesDependencies;
  readonly #known = new LRUCache<string, Known>({ max: 10_000 });
  readonly #decodes = new Slots(decodedAtOnce);

  constructor({ maxPixels }: InputImagesOptions, deps: InputImagesDependencies) {
    this.#maxPixels = maxPixels;
    this.#deps = deps;
  }

  /**
   * @param field path of the field that gives the image, for errors
   * @throws ServiceError `INPUT_REJECTED` if it is no image, or damaged; `INPUT_UNREACHABLE`, `ASSET_NOT_FOUND`,
   * `ASSET_TOO_LARGE` or `INVALID_FIELD`: all with the field as a violation. `STORE_UNAVAILABLE`
   */
  async resolve(
    source: ImageSource,
    field: string,
    tenant: string,
    signal: AbortSignal,
  ): Promise<InputImage> {
    try {
      const asset = await this.#assetOf(source, tenant, signal);
      const { assetId, mediaType, ...looks } = await this.#look(asset, signal);
      const fileName = `comfyrpc/${assetId}.${extensionOf[mediaType]}`;
      return { assetId, fileName, ...looks };
    } catch (error) {
      throw atField(error, field);
    }
  }

  async #assetOf(source: ImageSource, tenant: string, signal: AbortSignal): Promise<AssetRecord> {
    const { assetService } = this.#deps;
    switch (source.type) {
      case "asset":
        return await assetService.get(source.assetId, { tenant }, signal);
      case "data":
        return await assetService.takeInput(inOnePiece(source.data), { tenant }, signal);
      case "url":
        return await assetService.takeInput(this.#fetch(source.url, signal), { tenant }, signal);
    }
  }

  #fetch(url: string, signal: AbortSignal): AsyncIterable<Uint8Array> {
    const { fetcher } = this.#deps;
    if (fetcher === undefined) {
      throw new ServiceError(
        "INVALID_FIELD",
        "this server fetches no images from elsewhere; upload the image and name the asset",
      );
    }
    return fetcher.fetch(url, signal);
  }

  async #look(asset: AssetRecord, signal: AbortSignal): Promise<Known> {
    const known = this.#known.get(asset.id);
    // Another tenant's PNG of the same file is of no use here, nor one whose time has come.
    if (known && (known.assetId === asset.id || (await this.#keeps(asset.tenant, known.assetId, signal)))) {
      return known;
    }
    const found = await this.#decodes.run(() => this.#prepare(asset, signal), signal);
    this.#known.set(asset.id, found);
    return found;
  }

  /** Whether the PNG of a file is still there. Then it stays there for long enough to become part of a job. */
  async #keeps(tenant: string, assetId: string, signal: AbortSignal): Promise<boolean> {
    const { assets, clock } = this.#deps;
    const kept = await assets.get(tenant, assetId, signal);
    const nowMs = clock.now().getTime();
    if (kept !== undefined && kept.expireTime.getTime() < nowMs + unreferencedInputMs / 2) {
      await assets.put({ ...kept, expireTime: new Date(nowMs + unreferencedInputMs) }, signal);
    }
    return kept !== undefined;
  }

  async #prepare(asset: AssetRecord, signal: AbortSignal): Promise<Known> {
    if (!isUploadMediaType(asset.mediaType)) {
      throw notAnImage();
    }
    this.#assertFitsMemory(asset);
    const original = Buffer.concat(
      await Array.fromAsync(this.#deps.blobs.read(asset.id, { offset: 0, chunkBytes }, signal)),
    );
    const { data, ...facts } = await this.#deps.codec.toInput(original, {
      maxPixels: this.#maxPixels,
    });
    signal.throwIfAborted();
    const assetId = data === original ? asset.id : await this.#store(data, facts, asset.tenant, signal);
    return { ...facts, assetId };
  }

  /** Uploads were measured when they came in; what a workflow left may be of any size. */
  #assertFitsMemory({ sizeBytes }: AssetRecord): void {
    const limitBytes = this.#maxPixels * bytesPerPixel;
    if (sizeBytes > limitBytes) {
      throw new ServiceError(
        "ASSET_TOO_LARGE",
        `the file has ${sizeBytes} bytes; images that jobs read have at most ${limitBytes}`,
        { metadata: { limit_bytes: `${limitBytes}` } },
      );
    }
  }

  async #store(
    data: Uint8Array,
    { mediaType, widthPx, heightPx }: Omit<InputPicture, "data">,
    tenant: string,
    signal: AbortSignal,
  ): Promise<string> {
    const { assets, blobs, clock } = this.#deps;
    await using blob = await blobs.stage(inOnePiece(data), data.length, signal);
    const { sha256: id, sizeBytes } = blob;
    await assets.pinBlob(id, signal);
    await blob.commit(signal);
    const createTime = clock.now();
    const expireTime = new Date(createTime.getTime() + unreferencedInputMs);
    const facts = { sizeBytes, mediaType, widthPx, heightPx, fileName: "", createTime, expireTime };
    await assets.put({ id, tenant, ...facts }, signal);
    return id;
  }
}

const extensionOf: Readonly<Record<InputPicture["mediaType"], string>> = {
  "image/png": "png",
  "image/jpeg": "jpg",
  "image/webp": "webp",
};

/** What is wrong with an image is wrong with the field that gives it. */
const reasonAtField: Readonly<Partial<Record<ErrorReason, ErrorReason>>> = {
  ASSET_REJECTED: "INPUT_REJECTED",
  INPUT_UNREACHABLE: "INPUT_UNREACHABLE",
  ASSET_NOT_FOUND: "ASSET_NOT_FOUND",
  ASSET_TOO_LARGE: "ASSET_TOO_LARGE",
  INVALID_FIELD: "INVALID_FIELD",
};

function atField(error: unknown, field: string): unknown {
  const reason = isServiceError(error) ? reasonAtField[error.reason] : undefined;
  if (!isServiceError(error) || reason === undefined) {
    return error;
  }
  const { message: description, details } = error;
  return new ServiceError(
    reason,
    `${field}: ${description}`,
    { ...details, violations: [{ field, description }] },
    { cause: error },
  );
}
