import type { Interceptor } from "@connectrpc/connect";
import { ConnectError } from "@connectrpc/connect";
import { ServiceError } from "../../domain/errors.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { toConnectError } from "../errors.ts";
import { requestIdOf } from "../request-id.ts";

/** Turns what a handler throws into the status that the caller gets, and logs what it must not see. */
export function mapErrors(logger: Logger): Interceptor {
  return (next) => async (request) => {
    const requestId = requestIdOf(request.header);
    const translate = (thrown: unknown): ConnectError => {
      const error = isCutOff(thrown) ? cutOff(thrown) : thrown;
      if (isUnexpected(error)) {
        logger.error({ requestId, method: request.method.name, err: error }, "a call failed unexpectedly");
      }
      return toConnectError(error, requestId);
    };
    try {
      const response = await next(request);
      return response.stream ? { ...response, message: translating(response.message, translate) } : response;
    } catch (error) {
      throw translate(error);
    }
  };
}

/** A stream fails while it is read, long after the handler has returned. */
async function* translating<T>(
  messages: AsyncIterable<T>,
  translate: (error: unknown) => ConnectError,
): AsyncGenerator<T> {
  try {
    yield* messages;
  } catch (error) {
    throw translate(error);
  }
}

/** Whether the request broke off while it was read: its caller has gone, which is no fault of ours. */
function isCutOff(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ERR_STREAM_PREMATURE_CLOSE";
}

function cutOff(cause: unknown): ServiceError {
  return new ServiceError(
    "CANCELLED_BY_CALLER",
    "the call broke off before its request was complete",
    {},
    { cause },
  );
}

function isUnexpected(error: unknown): boolean {
  return error instanceof ServiceError ? error.reason === "INTERNAL" : !(error instanceof ConnectError);
}
