import type { Writable } from "node:stream";

/**
 * Calls `end` when whoever read `output` has gone, as in `comfyrpc generate … | head -1`: there is nobody left to work
 * for, and it is no failure. May call it more than once. Other errors of `output` are thrown.
 */
export function onClosedOutput(output: Writable, end: () => void): void {
  output.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") {
      throw error;
    }
    end();
  });
}
