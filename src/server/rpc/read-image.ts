import { isServiceError } from "../../domain/errors.ts";
import type { ImageInfo } from "../../domain/image.ts";
import type { Caller } from "../../jobs/caller.ts";
import type { JobService } from "../../jobs/job-service.ts";
import type { BlobStore } from "../../storage/blob-store.ts";

/** Where the images of jobs are read. */
export interface ImageSource {
  readonly jobs: Pick<JobService, "get">;
  readonly blobs: Pick<BlobStore, "read">;
}

/**
 * Yields the bytes of an image of a job, in pieces of at most `chunkBytes`.
 *
 * @throws ServiceError `JOB_NOT_FOUND` if the job has been removed meanwhile, and its image with it
 */
export async function* readImageInChunks(
  { jobs, blobs }: ImageSource,
  jobId: string,
  { sha256 }: ImageInfo,
  chunkBytes: number,
  caller: Caller,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  try {
    yield* blobs.read(sha256, { offset: 0, chunkBytes }, signal);
  } catch (error) {
    if (!isServiceError(error, "ASSET_NOT_FOUND")) {
      throw error;
    }
    await jobs.get(jobId, caller, signal);
    throw new Error(`the bytes of image ${sha256} of job ${jobId} are gone, the job is not`, {
      cause: error,
    });
  }
}

/** Reads an image of a job as one buffer; see {@link readImageInChunks}. */
export async function readImage(
  source: ImageSource,
  jobId: string,
  image: ImageInfo,
  caller: Caller,
  signal: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  const { sizeBytes } = image;
  let data: Uint8Array<ArrayBuffer> | undefined;
  let offset = 0;
  for await (const piece of readImageInChunks(source, jobId, image, sizeBytes, caller, signal)) {
    if (piece.length === sizeBytes) {
      return piece;
    }
    data ??= new Uint8Array(sizeBytes);
    data.set(piece, offset);
    offset += piece.length;
  }
  if (data === undefined || offset < sizeBytes) {
    throw new Error(`image ${image.sha256} of job ${jobId} has ${offset} bytes instead of ${sizeBytes}`);
  }
  return data;
}
