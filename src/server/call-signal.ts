import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import { ServiceError } from "../domain/errors.ts";

/**
 * A signal that is aborted when the call of `context` is over, with a reason that says why as one of our errors: its
 * deadline passed, the server shuts down, or the caller went away or cancelled. It is aborted after a normal end too,
 * as the signal of the RPC library is.
 *
 * @param consequence what then becomes of the work, for the text of the error; empty if there is none to speak of
 */
export function callSignal(context: HandlerContext, consequence = ""): AbortSignal {
  const controller = new AbortController();
  const end = () => controller.abort(whyCallEnded(context, consequence === "" ? "" : `; ${consequence}`));
  if (context.signal.aborted) {
    end();
  } else {
    context.signal.addEventListener("abort", end, { once: true });
  }
  return controller.signal;
}

/**
 * Neither the clock nor the reason of the library's signal is enough: a caller whose own deadline passes cancels the call
 * before the timer here fires, and the timer may fire a little before the clock says so.
 */
function whyCallEnded(context: HandlerContext, consequence: string): ServiceError {
  const remainingMs = context.timeoutMs();
  const { reason } = context.signal;
  const code = reason instanceof ConnectError ? reason.code : undefined;
  if (code === Code.DeadlineExceeded || (remainingMs !== undefined && remainingMs <= 0)) {
    return new ServiceError("JOB_TIMEOUT", `the deadline of the call passed${consequence}`);
  }
  if (code === Code.Unavailable) {
    return new ServiceError(
      "SHUTTING_DOWN",
      "the server is shutting down; try again elsewhere or in a moment",
      { retryAfterMs: 1_000 },
    );
  }
  return new ServiceError("CANCELLED_BY_CALLER", `the call was cancelled${consequence}`);
}
