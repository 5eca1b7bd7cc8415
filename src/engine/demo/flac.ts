import { createHash } from "node:crypto";

/** Samples of a frame; the last frame may have fewer. */
const FRAME_SAMPLES = 4096;

/** Silence, and what is written about it. */
export interface Silence {
  /** 1 or 2. */
  readonly channels: number;
  /** In Hz, 1 to 655350. */
  readonly sampleRate: number;
  /** Samples of each channel; at least 1. */
  readonly samples: number;
  readonly comments: readonly { readonly keyword: string; readonly text: string }[];
}

/** Encodes silence of 16 bits as FLAC (RFC 9639): every subframe says that one value is repeated. */
export function encodeSilence({ channels, sampleRate, samples, comments }: Silence): Buffer {
  const frames = [];
  for (let start = 0, index = 0; start < samples; start += FRAME_SAMPLES, index++) {
    frames.push(frameOf(index, Math.min(FRAME_SAMPLES, samples - start), channels));
  }
  const info = Buffer.alloc(34);
  info.writeUInt16BE(FRAME_SAMPLES, 0);
  info.writeUInt16BE(FRAME_SAMPLES, 2);
  const format = (BigInt(sampleRate) << 44n) | (BigInt(channels - 1) << 41n) | (15n << 36n) | BigInt(samples);
  info.writeBigUInt64BE(format, 10);
  digestOf(samples * channels * 2).copy(info, 18);
  return Buffer.concat([
    Buffer.from("fLaC"),
    block(0, info, false),
    block(4, commentsOf(comments), true),
    ...frames,
  ]);
}

function block(type: number, content: Buffer, isLast: boolean): Buffer {
  const header = Buffer.alloc(4);
  header.writeUInt32BE((isLast ? 0x80000000 : 0) + (type << 24) + content.length);
  return Buffer.concat([header, content]);
}

function commentsOf(comments: Silence["comments"]): Buffer {
  const texts = comments.map(({ keyword, text }) => counted(`${keyword}=${text}`));
  return Buffer.concat([counted("ComfyRPC"), uint32(texts.length), ...texts]);
}

function counted(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([uint32(bytes.length), bytes]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function frameOf(index: number, samples: number, channels: number): Buffer {
  const isWhole = samples === FRAME_SAMPLES;
  const header = [0xff, 0xf8, isWhole ? 0xc0 : 0x70, ((channels - 1) << 4) | 0x08, ...codedNumber(index)];
  if (!isWhole) {
    header.push((samples - 1) >> 8, (samples - 1) & 255);
  }
  header.push(crc(header, 8, 0x07));
  const body = [...header, ...Array.from({ length: channels * 3 }, () => 0)];
  const check = crc(body, 16, 0x8005);
  return Buffer.from([...body, check >> 8, check & 255]);
}

/** A number in the manner of UTF-8, which FLAC extends to 31 bits. */
function codedNumber(value: number): number[] {
  if (value < 0x80) {
    return [value];
  }
  const more: number[] = [];
  let rest = value;
  let first = 0x3f;
  while (rest > first) {
    more.unshift(0x80 | (rest & 0x3f));
    rest >>= 6;
    first >>= 1;
  }
  return [((0xfe ^ (first << 1)) & 0xff & ~first) | rest, ...more];
}

/** A cyclic redundancy check of `bits` bits, the highest bit first, from 0. */
function crc(bytes: readonly number[], bits: number, polynomial: number): number {
  const mask = 2 ** bits - 1;
  const top = 2 ** (bits - 1);
  let value = 0;
  for (const byte of bytes) {
    value ^= byte << (bits - 8);
    for (let bit = 0; bit < 8; bit++) {
      value = ((value & top ? (value << 1) ^ polynomial : value << 1) & mask) >>> 0;
    }
  }
  return value;
}

/** MD5 of that many zeros. */
function digestOf(length: number): Buffer {
  const digest = createHash("md5");
  const zeros = Buffer.alloc(1 << 16);
  for (let left = length; left > 0; left -= zeros.length) {
    digest.update(left < zeros.length ? zeros.subarray(0, left) : zeros);
  }
  return digest.digest();
}
