import { Readable, Writable } from "node:stream";
import type { CliIo } from "../io.ts";

/** Output that is kept as text. */
export interface CapturedIo extends CliIo {
  /** Everything written to standard output. */
  out(): string;
  /** Everything written to standard error. */
  err(): string;
  /** Everything written to standard output, byte for byte. */
  outBytes(): Buffer;
  /** Resolves once standard output holds `text`. */
  outHas(text: string, signal: AbortSignal): Promise<void>;
  /** Resolves once standard output holds `count` bytes or more. */
  outBytesAre(count: number, signal: AbortSignal): Promise<void>;
  /** Resolves once standard error holds `text`. */
  errHas(text: string, signal: AbortSignal): Promise<void>;
}

/**
 * Standard streams for a test; `columns` makes standard error and standard output a terminal of that width, and `input`
 * is what standard input holds.
 */
export function captureIo({
  columns,
  input = [],
}: {
  columns?: number;
  input?: Iterable<Buffer>;
} = {}): CapturedIo {
  const stdout = new TextStream();
  const stderr = new TextStream();
  return {
    stdin: Readable.from(input),
    stdout,
    stderr,
    isTty: columns !== undefined,
    isStdoutTty: columns !== undefined,
    columns: columns ?? 80,
    out: () => stdout.text,
    err: () => stderr.text,
    outBytes: () => Buffer.concat(stdout.chunks),
    outHas: (text, signal) => stdout.until(() => stdout.text.includes(text), text, signal),
    outBytesAre: (count, signal) => stdout.until(() => stdout.byteCount >= count, `${count} bytes`, signal),
    errHas: (text, signal) => stderr.until(() => stderr.text.includes(text), text, signal),
  };
}

class TextStream extends Writable {
  text = "";
  readonly chunks: Buffer[] = [];

  constructor() {
    super({ decodeStrings: false });
  }

  override _write(chunk: unknown, _encoding: string, done: () => void): void {
    this.text += String(chunk);
    this.chunks.push(Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk)));
    this.emit("text");
    done();
  }

  get byteCount(): number {
    return this.chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
  }

  until(isThere: () => boolean, what: string, signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const look = () => isThere() && resolve();
    const giveUp = () => reject(new Error(`never saw "${what}" in:\n${this.text}`));
    this.on("text", look);
    signal.addEventListener("abort", giveUp, { once: true });
    look();
    return promise.finally(() => {
      this.off("text", look);
      signal.removeEventListener("abort", giveUp);
    });
  }
}
