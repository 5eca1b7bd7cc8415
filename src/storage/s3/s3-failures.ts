import { S3ServiceException } from "@aws-sdk/client-s3";
import { isServiceError } from "../../domain/errors.ts";
import { blobNotFound, storeUnavailable } from "../blob-errors.ts";

/**
 * Waits for what the SDK does, and turns its errors into ours; an abort into the reason of the signal.
 *
 * @throws ServiceError `STORE_UNAVAILABLE`, or `ASSET_NOT_FOUND` if there is no object of that key
 */
export async function translated<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw toStoreError(error, signal);
  }
}

/** @returns what to throw for an error of the SDK: see {@link translated} */
export function toStoreError(error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted) {
    return signal.reason;
  }
  if (isServiceError(error)) {
    return error;
  }
  return isMissing(error) ? blobNotFound(error) : storeUnavailable(error);
}

/**
 * The bucket answers, and has no such object. Other answers of status 404 do not count: that of a missing bucket, and the
 * page of a server that is no S3.
 */
export function isMissing(error: unknown): boolean {
  return error instanceof S3ServiceException && error.name === "NoSuchKey";
}

/** As {@link isMissing} for a HEAD, whose answer cannot say what is missing. */
export function isMaybeMissing(error: unknown): boolean {
  return statusOf(error) === 404;
}

/** The server does not let us do that, or not know whether there is such an object. */
export function isRefused(error: unknown): boolean {
  return statusOf(error) === 403;
}

/** The range begins at or after the end of the object. */
export function isBeyondEnd(error: unknown): boolean {
  return statusOf(error) === 416;
}

/** Whether trying again may help: unless the server has understood, and refuses. */
export function isPassing(error: unknown): boolean {
  const status = statusOf(error);
  return status === undefined || status >= 500 || status === 408 || status === 429;
}

function statusOf(error: unknown): number | undefined {
  return error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined;
}
