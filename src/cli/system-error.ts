/** An error of the operating system, such as a full disk. */
export interface SystemError extends Error {
  /** Such as `ENOSPC`. */
  readonly code: string;
  readonly syscall: string;
}

/** Whether the operating system refused something, as opposed to a fault of ours. */
export function isSystemError(error: unknown): error is SystemError {
  return error instanceof Error && "syscall" in error && "code" in error && typeof error.code === "string";
}

/** Whether a file is not there. */
export function isMissingFile(error: unknown): boolean {
  return isSystemError(error) && (error.code === "ENOENT" || error.code === "ENOTDIR");
}
