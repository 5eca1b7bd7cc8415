import { status } from "@grpc/grpc-js";
import { pause } from "../lib/pause.ts";
import { RpcError } from "./rpc-error.ts";

/** How to go on after a stream broke off. */
export interface ResumePolicy {
  /** Told when a stream broke off, and not again until something came. May throw, to give up. */
  readonly onLost: (error: RpcError) => void;
  /** How many streams in a row may bring nothing before the failure of the last is thrown. Default: any number. */
  readonly maxFailures?: number;
}

/**
 * Yields what the stream of `open` brings. When the connection is lost or the service cannot answer for the moment, it
 * is opened anew, after a pause that grows from 0.2 to 5 seconds while nothing comes: `open` has to begin where the last
 * one ended. Aborting `signal` ends a pause, too.
 *
 * @throws RpcError for any other failure, and `CANCELLED` when aborted
 */
export async function* resumed<T>(
  open: () => AsyncIterable<T>,
  { onLost, maxFailures = Number.POSITIVE_INFINITY }: ResumePolicy,
  signal: AbortSignal,
): AsyncGenerator<T, void, undefined> {
  let failureCount = 0;
  for (;;) {
    try {
      for await (const item of open()) {
        failureCount = 0;
        yield item;
      }
      return;
    } catch (error) {
      if (!(error instanceof RpcError) || !isPassing(error) || signal.aborted) throw error;
      failureCount++;
      if (failureCount >= maxFailures) throw error;
      if (failureCount === 1) onLost(error);
      await pause(delayMs(failureCount, error), signal);
    }
  }
}

/** What to throw where a stream ended well although more should have come, so that {@link resumed} opens it anew. */
export function endedEarly(): RpcError {
  return new RpcError(status.UNAVAILABLE, "the service ended the stream too early");
}

/**
 * Whether trying again may help: the service says so, or the connection broke. A proxy in between may reset a stream,
 * which looks like a failure of the service but has no reason of the service's.
 */
function isPassing({ code, message, details: { reason } }: RpcError): boolean {
  if (code === status.UNAVAILABLE) return true;
  if (reason !== undefined) return false;
  return code === status.CANCELLED || (code === status.INTERNAL && message.includes("RST_STREAM"));
}

const firstDelayMs = 200;
const longestDelayMs = 5_000;

/** Randomly up to a third shorter, so that many clients of one service do not come back at once. */
function delayMs(failureCount: number, { details: { retryAfterMs = 0 } }: RpcError): number {
  const backoffMs = Math.min(longestDelayMs, firstDelayMs * 2 ** (failureCount - 1));
  return Math.max(retryAfterMs, backoffMs * (1 - Math.random() / 3));
}
