import { ConnectError, type Interceptor } from "@connectrpc/connect";
import type { Clock } from "../../lib/clock.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { codeName } from "../code-name.ts";
import { requestIdOf } from "../request-id.ts";

/** Writes one line for each call when it ends: method, protocol, status and time; never what was sent. */
export function logCalls(logger: Logger, clock: Clock): Interceptor {
  return (next) => async (request) => {
    const startMs = clock.monotonicMs();
    const end = (status: string) =>
      logger.info(
        {
          requestId: requestIdOf(request.header),
          method: `${request.service.typeName}/${request.method.name}`,
          status,
          durationMs: Math.round(clock.monotonicMs() - startMs),
        },
        "call",
      );
    try {
      const response = await next(request);
      if (response.stream) {
        return { ...response, message: noting(response.message, end) };
      }
      end("ok");
      return response;
    } catch (error) {
      end(statusOf(error));
      throw error;
    }
  };
}

async function* noting<T>(messages: AsyncIterable<T>, end: (status: string) => void): AsyncGenerator<T> {
  let status = "canceled"; // what remains if the reader leaves early
  try {
    yield* messages;
    status = "ok";
  } catch (error) {
    status = statusOf(error);
    throw error;
  } finally {
    end(status);
  }
}

function statusOf(error: unknown): string {
  return codeName(ConnectError.from(error).code);
}
