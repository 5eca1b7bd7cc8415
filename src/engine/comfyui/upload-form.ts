import { randomUUID } from "node:crypto";

/** Where a file is below the input directory. */
export interface InputPlace {
  readonly filename: string;
  /** With `/` between folders; empty for the input directory itself. */
  readonly subfolder: string;
}

/** What is to be uploaded. */
export interface UploadContent {
  readonly mediaType: string;
  readonly sizeBytes: number;
  readonly body: AsyncIterable<Uint8Array>;
  /** Whether to replace a file of that name that has other bytes; else the server finds another name. */
  readonly overwrite: boolean;
}

/**
 * The form of an upload, sent piece by piece, so that no file is ever whole in memory. Its length is known beforehand:
 * some proxies take nothing else.
 */
export class UploadForm {
  readonly headers: Readonly<Record<string, string>>;
  readonly #content: UploadContent;
  readonly #head: Buffer;
  readonly #tail: Buffer;
  readonly #silenceMs: number;
  readonly #stalled = new AbortController();
  #failure: { readonly error: unknown } | undefined;

  /** @param silenceMs how long the server may take nothing */
  constructor(place: InputPlace, content: UploadContent, silenceMs: number) {
    const boundary = `comfyrpc-${randomUUID()}`;
    const fields = {
      type: "input",
      subfolder: place.subfolder,
      ...(content.overwrite && { overwrite: "true" }),
    };
    this.#content = content;
    this.#silenceMs = silenceMs;
    this.#head = Buffer.from(
      [
        ...Object.entries(fields).flatMap(([name, value]) => [
          `--${boundary}`,
          `Content-Disposition: form-data; name="${name}"`,
          "",
          value,
        ]),
        `--${boundary}`,
        `Content-Disposition: form-data; name="image"; filename="${escapeName(place.filename)}"`,
        `Content-Type: ${content.mediaType}`,
        "",
        "",
      ].join("\r\n"),
    );
    this.#tail = Buffer.from(`\r\n--${boundary}--\r\n`);
    const length = this.#head.length + content.sizeBytes + this.#tail.length;
    this.headers = {
      "content-type": `multipart/form-data; boundary=${boundary}`,
      "content-length": String(length),
    };
  }

  /** Aborted when the server has taken nothing for too long. */
  get stalled(): AbortSignal {
    return this.#stalled.signal;
  }

  /** What the bytes of the file failed with, if they did: an upload breaks off for that too. */
  get failure(): { readonly error: unknown } | undefined {
    return this.#failure;
  }

  /** The form, once. */
  async *body(): AsyncGenerator<Uint8Array> {
    yield* this.#watched(this.#head);
    try {
      for await (const piece of this.#content.body) {
        yield* this.#watched(piece);
      }
    } catch (error) {
      this.#failure = { error };
      throw error;
    }
    yield* this.#watched(this.#tail);
  }

  /** The next piece is asked for when this one has been taken. */
  *#watched(piece: Uint8Array): Generator<Uint8Array> {
    const timer = setTimeout(() => this.#stalled.abort(), this.#silenceMs);
    try {
      yield piece;
    } finally {
      clearTimeout(timer);
    }
  }
}

/** As browsers do (HTML, multipart/form-data encoding). */
function escapeName(name: string): string {
  return name.replaceAll('"', "%22").replaceAll("\r", "%0D").replaceAll("\n", "%0A");
}
