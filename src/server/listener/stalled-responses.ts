import { constants } from "node:http2";
import type { Logger } from "../../telemetry/logger.ts";
import { type HttpResponse, isHttp2Response } from "./http-handler.ts";

/** Cuts off answers that their client has stopped reading. Disposing of it stops the watch. */
export interface StalledResponses extends Disposable {
  /** Watches `res` until it is closed. */
  watch(res: HttpResponse): void;
}

/**
 * Watches answers, four times in every `timeoutMs`. An answer is cut off once bytes have waited for its client for
 * `timeoutMs` and none of them was taken: an HTTP/2 stream is reset, an HTTP/1.1 connection closed. A handler that has
 * nothing to send may stay silent for as long as it likes.
 *
 * Progress is seen by whole writes, so a writer should cut large data into pieces. Pings do not do the same: a client
 * that answers them may still have stopped reading one of its streams.
 */
export function watchStalledResponses(timeoutMs: number, logger: Logger): StalledResponses {
  const states = new Map<HttpResponse, WriteState>();

  const sweep = () => {
    for (const [res, state] of states) {
      const waitingBytes = res.writableLength;
      if (waitingBytes === 0 || waitingBytes !== state.waitingBytes) {
        state.waitingBytes = waitingBytes;
        state.sweeps = 0;
      } else if (++state.sweeps === sweepsPerTimeout) {
        logger.warn({ waitingBytes, timeoutMs }, "call cut off: its client stopped reading the answer");
        cutOff(res);
      }
    }
  };
  const timer = setInterval(sweep, timeoutMs / sweepsPerTimeout);
  timer.unref();

  return {
    watch(res) {
      const state: WriteState = { waitingBytes: 0, sweeps: 0 };
      states.set(res, state);
      // Pieces of one size follow each other, so an equal length alone does not mean that nothing went out.
      res.on("drain", () => {
        state.sweeps = 0;
      });
      res.once("close", () => states.delete(res));
    },
    [Symbol.dispose]: () => clearInterval(timer),
  };
}

interface WriteState {
  waitingBytes: number;
  /** Sweeps since the last sign of progress. */
  sweeps: number;
}

const sweepsPerTimeout = 4;

function cutOff(res: HttpResponse): void {
  if (isHttp2Response(res)) res.stream.close(constants.NGHTTP2_CANCEL);
  else res.destroy();
}
