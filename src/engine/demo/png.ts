import { promisify } from "node:util";
import { crc32, deflate, deflateSync } from "node:zlib";

/** A text that a PNG carries: what programs that read "PNG info" show. */
export interface PngText {
  /** 1 to 79 characters of Latin-1. */
  readonly keyword: string;
  readonly text: string;
}

/** A picture to be encoded: three bytes a pixel, row by row. */
export interface RgbPicture {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** Raw pictures up to this size are packed at once; for them the way to another thread and back takes longer. */
const SMALL_BYTES = 1 << 16;

const deflateElsewhere = promisify(deflate);

/**
 * Encodes a picture as PNG: 8 bits, RGB, no filter, zlib `level` (0 to 9), with `texts` after the header. For a small
 * picture this is several times faster than a general image library, and no different for a large one.
 */
export async function encodePng(
  picture: RgbPicture,
  level: number,
  texts: readonly PngText[],
): Promise<Buffer> {
  const { width, height } = picture;
  const rows = unfilteredRows(picture);
  const packed =
    rows.length <= SMALL_BYTES ? deflateSync(rows, { level }) : await deflateElsewhere(rows, { level });
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header[8] = 8; // bits a channel
  header[9] = 2; // RGB
  return Buffer.concat([
    SIGNATURE,
    chunk("IHDR", [header]),
    ...texts.map(textChunk),
    chunk("IDAT", [packed]),
    chunk("IEND", []),
  ]);
}

/** A picture that moves, to be encoded. */
export interface RgbAnimation {
  /** At least one; all of the same size. */
  readonly frames: readonly RgbPicture[];
  /** How long each is shown, in milliseconds, up to 65535. */
  readonly delayMs: number;
}

/**
 * Encodes a picture that moves, over and over again, as animated PNG (PNG, third edition, 11.3.6). `texts` are put
 * after the pictures in chunks named `comf`, where ComfyUI has them; `mark` is a usual text.
 */
export async function encodeAnimatedPng(
  { frames, delayMs }: RgbAnimation,
  level: number,
  mark: PngText,
  texts: readonly PngText[],
): Promise<Buffer> {
  const [first] = frames;
  if (!first) {
    throw new RangeError("an animation needs a frame");
  }
  const still = await encodePng(first, level, [mark]);
  const afterHeader = SIGNATURE.length + 12 + 13;
  const pieces = [still.subarray(0, afterHeader), chunk("acTL", [numbers(frames.length, 0)])];
  let order = 0;
  const control = ({ width, height }: RgbPicture) => {
    const timing = Buffer.alloc(6);
    timing.writeUInt16BE(Math.min(0xffff, delayMs), 0);
    timing.writeUInt16BE(1000, 2);
    return chunk("fcTL", [numbers(order++, width, height, 0, 0), timing]);
  };
  pieces.push(control(first), still.subarray(afterHeader, still.length - END_LENGTH));
  for (const frame of frames.slice(1)) {
    const packed = await deflateElsewhere(unfilteredRows(frame), { level });
    pieces.push(control(frame), chunk("fdAT", [numbers(order++), packed]));
  }
  const afterwards = texts.map(({ keyword, text }) =>
    chunk("comf", [Buffer.from(`${keyword}\0${asciiJson(text)}`)]),
  );
  return Buffer.concat([...pieces, ...afterwards, still.subarray(still.length - END_LENGTH)]);
}

/** Length of the chunk that ends a PNG. */
const END_LENGTH = 12;

function numbers(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [index, value] of values.entries()) {
    bytes.writeUInt32BE(value, index * 4);
  }
  return bytes;
}

/** JSON with everything beyond ASCII escaped, as Python writes it. */
function asciiJson(json: string): string {
  return json.replace(/[\u0080-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

/**
 * Puts `texts` into a PNG, right after its header: as `tEXt` where Latin-1 suffices, else as `iTXt` (PNG, third
 * edition, 11.3.3). The picture itself is not touched.
 */
export function insertPngTexts(png: Buffer, texts: readonly PngText[]): Buffer {
  const afterHeader = SIGNATURE.length + 8 + png.readUInt32BE(SIGNATURE.length) + 4;
  return Buffer.concat([png.subarray(0, afterHeader), ...texts.map(textChunk), png.subarray(afterHeader)]);
}

/** Texts of a PNG, in file order: `tEXt` and uncompressed `iTXt` chunks. Empty for what is no PNG. */
export function readPngTexts(png: Buffer): PngText[] {
  const texts: PngText[] = [];
  if (!png.subarray(0, SIGNATURE.length).equals(SIGNATURE)) {
    return texts;
  }
  for (let at = SIGNATURE.length; at + 8 <= png.length; ) {
    const length = png.readUInt32BE(at);
    const type = png.toString("latin1", at + 4, at + 8);
    const text = parseText(type, png.subarray(at + 8, at + 8 + length));
    if (text) {
      texts.push(text);
    }
    at += 12 + length;
  }
  return texts;
}

/** The rows, each after a byte that says that it is not filtered. */
function unfilteredRows({ width, height, data }: RgbPicture): Buffer {
  const stride = width * 3;
  const rows = Buffer.alloc((stride + 1) * height);
  for (let y = 0; y < height; y++) {
    rows.set(data.subarray(y * stride, (y + 1) * stride), y * (stride + 1) + 1);
  }
  return rows;
}

function textChunk({ keyword, text }: PngText): Buffer {
  const key = Buffer.from(`${keyword}\0`, "latin1");
  return isLatin1(text)
    ? chunk("tEXt", [key, Buffer.from(text, "latin1")])
    : chunk("iTXt", [key, Buffer.from([0, 0, 0, 0]), Buffer.from(text, "utf8")]);
}

function chunk(type: string, parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat([Buffer.from(type, "latin1"), ...parts]);
  const result = Buffer.allocUnsafe(body.length + 8);
  result.writeUInt32BE(body.length - 4, 0);
  body.copy(result, 4);
  result.writeUInt32BE(crc32(body), body.length + 4);
  return result;
}

function parseText(type: string, data: Buffer): PngText | undefined {
  const end = data.indexOf(0);
  const keyword = data.toString("latin1", 0, end);
  if (type === "tEXt") {
    return { keyword, text: data.toString("latin1", end + 1) };
  }
  if (type !== "iTXt" || data[end + 1] !== 0) {
    return undefined;
  }
  const language = data.indexOf(0, end + 3);
  const translated = data.indexOf(0, language + 1);
  return { keyword, text: data.toString("utf8", translated + 1) };
}

function isLatin1(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) > 255) {
      return false;
    }
  }
  return true;
}
