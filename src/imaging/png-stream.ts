import { crc32, inflateSync } from "node:zlib";
import type { AddedMetadata } from "./added-metadata.ts";
import { xmpPacket } from "./xmp-packet.ts";

const signature = Buffer.from("\x89PNG\r\n\x1a\n", "latin1");
const xmpKeyword = "XML:com.adobe.xmp";

/** Texts that may hold XMP, and are looked into, are no longer than that. */
const maxXmpBytes = 1_048_576;

/**
 * Passes the bytes of a PNG on, chunk by chunk (PNG specification, third edition, 5.3), and adds metadata before its
 * first data. Everything else stays byte for byte as it is, but for a packet of XMP, to which the facts are added; only
 * where one comes after the data there are two then. Holds no more than a text. What is no PNG passes through just so.
 */
export class PngStream implements AsyncIterable<Uint8Array> {
  readonly #body: AsyncIterable<Uint8Array>;
  readonly #added: AddedMetadata;
  #isAnimated = false;
  #part: "signature" | "before data" | "after" | "other" = "signature";
  /** The signature, or the length and type of a chunk, as far as it has come. */
  #head: Uint8Array = new Uint8Array(0);
  /** How much of the chunk, its checksum included, is still to come. */
  #restBytes = 0;
  /** A chunk that is looked into when it is whole. */
  #held: Uint8Array[] | undefined;
  /** The packet that the PNG has. */
  #xmp: string | undefined;

  /** @param added what to add; default: nothing */
  constructor(body: AsyncIterable<Uint8Array>, added: AddedMetadata = {}) {
    this.#body = body;
    this.#added = added;
  }

  /** Whether it is a PNG that moves: has an `acTL` before its data. Known when all has passed. */
  get isAnimated(): boolean {
    return this.#isAnimated;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for await (const piece of this.#body) {
      yield* this.#passOn(piece);
    }
    yield* this.#held ?? [];
    if (this.#head.length > 0) {
      yield this.#head;
    }
  }

  *#passOn(piece: Uint8Array): Generator<Uint8Array> {
    for (let rest = piece; rest.length > 0; ) {
      if (this.#part === "other") {
        yield rest;
        return;
      }
      if (this.#restBytes > 0) {
        const passing = rest.subarray(0, this.#restBytes);
        rest = rest.subarray(passing.length);
        yield* this.#passData(passing);
      } else {
        const missing = 8 - this.#head.length;
        this.#head = Buffer.concat([this.#head, rest.subarray(0, missing)]);
        rest = rest.subarray(missing);
        if (this.#head.length === 8) {
          const head = Buffer.from(this.#head);
          this.#head = new Uint8Array(0);
          yield* this.#begin(head);
        }
      }
    }
  }

  *#passData(passing: Uint8Array): Generator<Uint8Array> {
    this.#restBytes -= passing.length;
    if (this.#held === undefined) {
      yield passing;
      return;
    }
    this.#held.push(passing);
    if (this.#restBytes === 0) {
      const chunk = Buffer.concat(this.#held);
      this.#held = undefined;
      yield* this.#passText(chunk);
    }
  }

  *#passText(chunk: Buffer): Generator<Uint8Array> {
    const packet = readXmp(chunk);
    if (packet === undefined || this.#added.xmp === undefined) {
      yield chunk;
    } else if (this.#part === "before data") {
      this.#xmp ??= packet;
    } else {
      yield textChunk(xmpKeyword, xmpPacket(this.#added.xmp, packet)); // too late to be one with ours, which has passed
    }
  }

  /** The signature, or a chunk, begins. */
  *#begin(head: Buffer): Generator<Uint8Array> {
    if (this.#part === "signature") {
      this.#part = head.equals(signature) ? "before data" : "other";
      yield head;
      return;
    }
    const type = head.toString("latin1", 4);
    const sizeBytes = head.readUInt32BE();
    this.#restBytes = sizeBytes + 4;
    if (this.#part === "before data") {
      this.#isAnimated ||= type === "acTL";
      if (type === "IDAT" || type === "IEND") {
        yield* this.#addedChunks();
        this.#part = this.#added.xmp === undefined ? "other" : "after";
      }
    }
    if ((type === "iTXt" || type === "zTXt") && this.#added.xmp !== undefined && sizeBytes <= maxXmpBytes) {
      this.#held = [head];
    } else {
      yield head;
    }
  }

  *#addedChunks(): Generator<Uint8Array> {
    const { xmp, parameters } = this.#added;
    if (xmp !== undefined) {
      this.#xmp = xmpPacket(xmp, this.#xmp);
      yield textChunk(xmpKeyword, this.#xmp);
    }
    if (parameters !== undefined) {
      yield textChunk("parameters", parameters);
    }
  }
}

/** An `iTXt` chunk, uncompressed (PNG specification, third edition, 11.3.3.4). */
function textChunk(keyword: string, text: string): Buffer {
  const data = Buffer.from(`${keyword}\0\0\0\0\0${text.toWellFormed().replaceAll("\0", "")}`);
  const chunk = Buffer.alloc(12 + data.length);
  chunk.writeUInt32BE(data.length);
  chunk.write("iTXt", 4, "latin1");
  data.copy(chunk, 8);
  chunk.writeUInt32BE(crc32(chunk.subarray(4, 8 + data.length)), 8 + data.length);
  return chunk;
}

/**
 * The packet in an `iTXt` chunk, or in a `zTXt` one, where some programs put it; `undefined` if that holds something else,
 * empty if it cannot be read.
 */
function readXmp(chunk: Buffer): string | undefined {
  const data = chunk.subarray(8, -4);
  if (data.toString("latin1", 0, xmpKeyword.length + 1) !== `${xmpKeyword}\0`) {
    return undefined;
  }
  const isInternational = chunk.toString("latin1", 4, 8) === "iTXt";
  const isCompressed = !isInternational || data[xmpKeyword.length + 1] === 1;
  const languageEnd = data.indexOf(0, xmpKeyword.length + 3);
  const text = data.subarray(isInternational ? data.indexOf(0, languageEnd + 1) + 1 : xmpKeyword.length + 2);
  try {
    return (isCompressed ? inflateSync(text, { maxOutputLength: maxXmpBytes }) : text).toString();
  } catch {
    return "";
  }
}
