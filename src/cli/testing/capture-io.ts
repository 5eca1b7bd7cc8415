import { Writable } from "node:stream";
import type { CliIo } from "../io.ts";

/** Output that is kept as text. */
export interface CapturedIo extends CliIo {
  /** Everything written to standard output. */
  out(): string;
  /** Everything written to standard error. */
  err(): string;
  /** Resolves once standard error holds `text`. */
  errHas(text: string, signal: AbortSignal): Promise<void>;
}

/** Standard streams for a test; `columns` makes standard error a terminal of that width. */
export function captureIo({ columns }: { columns?: number } = {}): CapturedIo {
  const stdout = new TextStream();
  const stderr = new TextStream();
  return {
    stdout,
    stderr,
    isTty: columns !== undefined,
    columns: columns ?? 80,
    out: () => stdout.text,
    err: () => stderr.text,
    errHas: (text, signal) => stderr.has(text, signal),
  };
}

class TextStream extends Writable {
  text = "";

  constructor() {
    super({ decodeStrings: false });
  }

  override _write(chunk: unknown, _encoding: string, done: () => void): void {
    this.text += String(chunk);
    this.emit("text");
    done();
  }

  has(text: string, signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const look = () => this.text.includes(text) && resolve();
    const giveUp = () => reject(new Error(`never saw "${text}" in:\n${this.text}`));
    this.on("text", look);
    signal.addEventListener("abort", giveUp, { once: true });
    look();
    return promise.finally(() => {
      this.off("text", look);
      signal.removeEventListener("abort", giveUp);
    });
  }
}
