import { DeliveryError } from "./delivery-error.ts";
import { RpcError } from "./rpc-error.ts";
import { isSystemError } from "./system-error.ts";
import { UsageError } from "./usage-error.ts";

/**
 * Whether the text of `error` tells the user what went wrong, or the user has stopped the command; any other error is a
 * fault of the program.
 */
export function isExplained(error: unknown): error is Error {
  return (
    error instanceof RpcError ||
    error instanceof UsageError ||
    error instanceof DeliveryError ||
    isSystemError(error) ||
    (error instanceof Error && error.name === "AbortError")
  );
}
