import { ServiceError } from "../domain/errors.ts";

/** When trying again makes sense; most outages of a store last longer than seconds. */
const retryAfterMs = 10_000;

/** A store that cannot do its work because of `cause`, which may hold paths and hosts and is for the log only. */
export function storeUnavailable(cause: unknown): ServiceError {
  const message = isOutOfRoom(cause)
    ? "there is no room left to store images; free some, or try again later"
    : "the store of images is out of reach or out of order; try again later";
  return new ServiceError("STORE_UNAVAILABLE", message, { retryAfterMs }, { cause });
}

/** For `catch`: of what the operating system or a server says about a store. */
export function throwUnavailable(cause: unknown): never {
  throw storeUnavailable(cause);
}

/** There is no blob of that hash. */
export function blobNotFound(cause?: unknown): ServiceError {
  return new ServiceError("ASSET_NOT_FOUND", "there is no such asset; it may have expired", {}, { cause });
}

/** A range that begins after the end of a blob. */
export function offsetOutOfRange(offset: number, sizeBytes: number): ServiceError {
  return new ServiceError(
    "OFFSET_OUT_OF_RANGE",
    `the offset is ${offset}, but the asset has only ${sizeBytes} bytes`,
    { metadata: { offset: String(offset), size_bytes: String(sizeBytes) } },
  );
}

/** More bytes than are taken. */
export function blobTooLarge(maxBytes: number): ServiceError {
  return new ServiceError("ASSET_TOO_LARGE", `the file is too large: at most ${maxBytes} bytes are taken`, {
    metadata: { limit_bytes: String(maxBytes) },
  });
}

/** Whether `error` is one of the operating system with one of these codes. */
export function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  return (
    error instanceof Error && "code" in error && typeof error.code === "string" && codes.includes(error.code)
  );
}

function isOutOfRoom(error: unknown): boolean {
  return hasCode(error, "ENOSPC", "EDQUOT", "EFBIG");
}
