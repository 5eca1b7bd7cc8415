import { setTimeout as setPause } from "node:timers/promises";
import { ServiceError } from "../../domain/errors.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { OutputFile, OutputStream } from "../engine.ts";
import { type ComfyUiClient, type FileAnswer, type FileRange, NoAnswerError } from "./client.ts";

export interface OutputDependencies {
  readonly client: ComfyUiClient;
  readonly logger: Logger;
  /** Longest silence of the server while its bytes are awaited, in milliseconds. */
  readonly silenceMs: number;
  /** How long the server may be out of reach before the file counts as lost, in milliseconds. */
  readonly lostAfterMs: number;
}

/** How often a download is tried, in all; requests that get no answer are not counted. */
const maxAttempts = 4;
const firstPauseMs = 100;
const longestPauseMs = 2_000;
/** What a proxy answers that cannot reach the server. */
const unreachableStatuses: ReadonlySet<number> = new Set([502, 503, 504]);

/** Opens an output file; see `Engine.openOutput`. A download that breaks off is resumed where it ended. */
export async function openOutput(
  file: OutputFile,
  deps: OutputDependencies,
  signal: AbortSignal,
): Promise<OutputStream> {
  const download = new Download(file, deps, signal);
  await download.open();
  return { mediaType: download.mediaType, sizeBytes: download.sizeBytes, body: download.bytes() };
}

/** One file on its way here, in as many requests as that takes. */
class Download {
  mediaType = "application/octet-stream";
  sizeBytes: number | undefined;
  readonly #file: OutputFile;
  readonly #deps: OutputDependencies;
  readonly #signal: AbortSignal;
  #attempts = 0;
  #receivedBytes = 0;
  #body: FileAnswer["body"] | undefined;
  #etag: string | undefined;

  constructor(file: OutputFile, deps: OutputDependencies, signal: AbortSignal) {
    this.#file = file;
    this.#deps = deps;
    this.#signal = signal;
  }

  /** Opens the file at its beginning. */
  async open(): Promise<void> {
    const { status, headers, body } = await this.#request();
    if (status !== 200) {
      discard(body);
      throw missing(status);
    }
    this.mediaType = headerOf(headers, "content-type")?.split(";", 1)[0]?.trim() || this.mediaType;
    this.sizeBytes = parseLength(headerOf(headers, "content-length"));
    this.#etag = headerOf(headers, "etag");
    this.#body = body;
  }

  async *bytes(): AsyncGenerator<Buffer, void, void> {
    while (!(yield* this.#chunks())) {
      await this.#resume();
    }
  }

  /** Yields what comes. Returns whether that was all of the file. */
  async *#chunks(): AsyncGenerator<Buffer, boolean, void> {
    if (this.#body === undefined) {
      return false;
    }
    try {
      for await (const chunk of withoutSilence(this.#body, this.#deps.silenceMs)) {
        this.#receivedBytes += chunk.length;
        yield chunk;
      }
    } catch (error) {
      this.#signal.throwIfAborted();
      this.#deps.logger.warn({ err: error, receivedBytes: this.#receivedBytes }, "download broke off");
      return false;
    }
    return this.sizeBytes === undefined || this.#receivedBytes === this.sizeBytes;
  }

  /** Opens the rest of the file, if it is still the same: otherwise what has come is of no use. */
  async #resume(): Promise<void> {
    if (this.#receivedBytes === 0) {
      await this.open();
      return;
    }
    const etag = this.#etag;
    if (etag === undefined || etag.startsWith("W/")) {
      throw broken("it broke off and cannot be resumed");
    }
    const { status, headers, body } = await this.#request({ offset: this.#receivedBytes, etag });
    const begin = /^bytes (\d+)-/.exec(headerOf(headers, "content-range") ?? "")?.[1];
    if (status !== 206 || Number(begin) !== this.#receivedBytes || headerOf(headers, "etag") !== etag) {
      discard(body);
      throw status === 200 || status === 206 ? broken("it has changed meanwhile") : missing(status);
    }
    this.#body = body;
  }

  /**
   * Asks until there is an answer that repeating would not change. Answers that break off and errors of the server are
   * counted; a server that does not answer is asked again for as long as it may be out of reach.
   */
  async #request(range?: FileRange): Promise<FileAnswer> {
    if (this.#attempts++ >= maxAttempts) {
      throw broken("it broke off again and again");
    }
    const deadlineMs = performance.now() + this.#deps.lostAfterMs;
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
      const answer = await this.#ask(range);
      if (!(answer instanceof NoAnswerError)) {
        return answer;
      }
      const remainingMs = deadlineMs - performance.now();
      if (isServerError(answer) && this.#attempts++ >= maxAttempts) {
        throw failing(answer);
      }
      if (remainingMs <= 0) {
        throw unreachable(answer);
      }
      this.#deps.logger.debug({ err: answer, pauseMs }, "output file is asked for again");
      await pause(Math.min(pauseMs, remainingMs), this.#signal);
    }
  }

  async #ask(range: FileRange | undefined): Promise<FileAnswer | NoAnswerError> {
    try {
      const answer = await this.#deps.client.openFile(this.#file, range, this.#signal);
      if (answer.status < 500) {
        return answer;
      }
      discard(answer.body);
      return new NoAnswerError(`HTTP ${answer.status}`, { sent: true, status: answer.status });
    } catch (error) {
      if (error instanceof NoAnswerError) {
        return error;
      }
      throw error;
    }
  }
}

/**
 * Passes a body on, and breaks it off if nothing comes for too long while it is waited for. A slow reader does not
 * count as silence: then the server waits for us.
 */
async function* withoutSilence(
  body: FileAnswer["body"],
  silenceMs: number,
): AsyncGenerator<Buffer, void, void> {
  let waiting = false;
  const timer = setTimeout(() => {
    if (waiting) {
      body.destroy(new Error("the server was silent for too long"));
    }
  }, silenceMs);
  const chunks = body[Symbol.asyncIterator]();
  try {
    for (;;) {
      timer.refresh();
      waiting = true;
      const { done, value } = await chunks.next();
      waiting = false;
      if (done) {
        return;
      }
      yield value;
    }
  } finally {
    clearTimeout(timer);
    body.destroy();
  }
}

/** Lets go of a body that is not read. Its connection is closed: the rest of it might never come. */
function discard(body: FileAnswer["body"]): void {
  body.on("error", () => {}); // says only that it was destroyed; without a listener that would end the process
  body.destroy();
}

async function pause(pauseMs: number, signal: AbortSignal): Promise<void> {
  await setPause(pauseMs, undefined, { signal }).catch(() => signal.throwIfAborted());
}

function headerOf(headers: FileAnswer["headers"], name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value[0] : value;
}

function parseLength(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}

function missing(status: number): ServiceError {
  return new ServiceError("NO_OUTPUT", "the backend no longer has the output file", {
    metadata: { http_status: String(status) },
  });
}

/** The server itself cannot serve the file, as opposed to a server that is out of reach. */
function isServerError({ status }: NoAnswerError): boolean {
  return status !== undefined && !unreachableStatuses.has(status);
}

function failing(cause: NoAnswerError): ServiceError {
  const metadata = { http_status: String(cause.status) };
  return new ServiceError("NO_OUTPUT", "the backend cannot serve the output file", { metadata }, { cause });
}

function broken(why: string): ServiceError {
  return new ServiceError("NO_OUTPUT", `the output file could not be fetched whole: ${why}`);
}

function unreachable(cause: unknown): ServiceError {
  return new ServiceError("BACKEND_LOST", "the backend is out of reach", { retryAfterMs: 10_000 }, { cause });
}
