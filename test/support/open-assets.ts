import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import {
  AssetService,
  type AssetServiceDependencies,
  type AssetServiceOptions,
} from "../../src/assets/asset-service.ts";
import type { UploadInfo } from "../../src/assets/upload-info.ts";
import { sharpImageCodec } from "../../src/imaging/sharp/sharp-image-codec.ts";
import type { AssetStore } from "../../src/storage/asset-store.ts";
import type { BlobStore } from "../../src/storage/blob-store.ts";
import { openFilesystemBlobStore } from "../../src/storage/filesystem/filesystem-blob-store.ts";
import { openSqliteDatabase } from "../../src/storage/sql/sqlite/open-sqlite.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import { TestClock } from "../contract/job-store/store-home.ts";

/** Assets in a directory of their own, which is removed at the end. */
export interface AssetsFixture extends AsyncDisposable {
  readonly assets: AssetService;
  readonly store: AssetStore;
  readonly blobs: BlobStore;
  readonly clock: TestClock;
  /** Files with bytes of blobs, staged ones included. */
  blobFiles(): Promise<string[]>;
}

export const owner = { tenant: "" };
export const never = new AbortController().signal;

/** Opens them with the real stores and codec, uploads bounded to 20 MiB and a million pixels unless told otherwise. */
export async function openAssets(
  options: Partial<AssetServiceOptions> = {},
  dependencies: Partial<AssetServiceDependencies> = {},
): Promise<AssetsFixture> {
  await using opened = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), "comfyrpc-assets-"));
  opened.defer(() => rm(directory, { recursive: true, force: true }));
  const clock = new TestClock();
  const logger = createLogger({ level: "silent" });
  const { assets: store } = opened.use(await openSqliteDatabase(join(directory, "db"), { clock, logger }));
  const blobDirectory = join(directory, "blobs");
  // In files throughout, so that what is left behind can be seen.
  const blobs = opened.use(await openFilesystemBlobStore(blobDirectory, { maxHeldBytes: 0 }));
  const assets = new AssetService(
    {
      maxUploadBytes: 20 * 1024 * 1024,
      maxUploadPixels: 1_000_000,
      retentionMs: 3_600_000,
      maxRetentionMs: 7_200_000,
      ...options,
    },
    { assets: store, blobs, codec: sharpImageCodec, clock, ...dependencies },
  );
  const owned = opened.move();
  return {
    assets,
    store,
    blobs,
    clock,
    async blobFiles() {
      const entries = await readdir(blobDirectory, { recursive: true, withFileTypes: true });
      return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** An upload that says nothing of itself. */
export const plainUpload: UploadInfo = { fileName: "", stripMetadata: false };

/** A PNG of one colour. */
export async function makePng(widthPx = 8, heightPx = 8, background = "#c00"): Promise<Buffer> {
  return await sharp({ create: { width: widthPx, height: heightPx, channels: 3, background } })
    .png()
    .toBuffer();
}

/** A PNG of at least so many bytes, which do not compress. */
export async function makeLargePng(sizeBytes: number): Promise<Buffer> {
  const side = Math.ceil(Math.sqrt(sizeBytes / 3)) + 1;
  const raw = Buffer.alloc(side * side * 3);
  let state = 1;
  for (let i = 0; i < raw.length; i += 1) {
    state = (state * 1_103_515_245 + 12_345) & 0x7fffffff;
    raw[i] = state >> 16;
  }
  return await sharp(raw, { raw: { width: side, height: side, channels: 3 } })
    .png({ compressionLevel: 0 })
    .toBuffer();
}

/** Cuts `data` into pieces, as an upload comes. */
export async function* inPieces(data: Uint8Array, pieceBytes = 64 * 1024): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < data.length; at += pieceBytes) {
    yield data.subarray(at, at + pieceBytes);
  }
}
