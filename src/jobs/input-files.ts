import { ServiceError } from "../domain/errors.ts";
import type { PlannedInput } from "../domain/generation-plan.ts";
import type { InputFile } from "../engine/engine.ts";
import type { AssetStore } from "../storage/asset-store.ts";
import type { BlobStore } from "../storage/blob-store.ts";
import type { Logger } from "../telemetry/logger.ts";
import { outlastOutage } from "./outlast-outage.ts";

export interface InputFileDependencies {
  readonly assets: Pick<AssetStore, "get">;
  readonly blobs: Pick<BlobStore, "read">;
  readonly logger: Logger;
}

const chunkBytes = 262_144;

/**
 * The files that the graph of a job reads, as an engine takes them. Outages of the stores are waited out, here and while
 * the files are read.
 *
 * @throws ServiceError `ASSET_NOT_FOUND` if one is gone, which cannot be as long as the job is kept; the reason of `signal`
 */
export async function inputFilesOf(
  planned: readonly PlannedInput[],
  tenant: string,
  deps: InputFileDependencies,
  signal: AbortSignal,
): Promise<readonly InputFile[]> {
  return await Promise.all(planned.map((input) => inputFileOf(input, tenant, deps, signal)));
}

async function inputFileOf(
  { assetId, fileName }: PlannedInput,
  tenant: string,
  deps: InputFileDependencies,
  signal: AbortSignal,
): Promise<InputFile> {
  const asset = await outlastOutage(() => deps.assets.get(tenant, assetId, signal), told(deps), signal);
  if (asset === undefined) {
    throw new ServiceError("ASSET_NOT_FOUND", "an input image of the job is not there any more");
  }
  return {
    fileName,
    sizeBytes: asset.sizeBytes,
    mediaType: asset.mediaType,
    open: (signal) => readBlob(assetId, deps, signal),
  };
}

/** The bytes of a blob, gone on with after an outage where they broke off. */
async function* readBlob(
  sha256: string,
  deps: InputFileDependencies,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  let offset = 0;
  let pieces = deps.blobs.read(sha256, { offset, chunkBytes }, signal)[Symbol.asyncIterator]();
  try {
    for (;;) {
      const { value } = await outlastOutage(
        () => pieces.next(),
        (error) => {
          told(deps)(error);
          pieces = deps.blobs.read(sha256, { offset, chunkBytes }, signal)[Symbol.asyncIterator]();
        },
        signal,
      );
      if (value === undefined) {
        return;
      }
      offset += value.length;
      yield value;
    }
  } finally {
    await pieces.return?.();
  }
}

function told({ logger }: InputFileDependencies): (error: unknown) => void {
  return (error) => logger.warn({ err: error }, "cannot read an input of a job; trying again");
}
