import { ByteReader, MalformedError, neededBytes, PartCounter, type Segment } from "./segments.ts";

const neededChunks: ReadonlySet<string> = new Set(["VP8 ", "VP8L", "VP8X", "ALPH", "ANIM", "ANMF", "ICCP"]);
/** Flags in the first byte of `VP8X` that say whether there are such chunks. */
const exifFlag = 0x08;
const xmpFlag = 0x04;

/**
 * Cuts a WebP into its header and its chunks (RFC 9649, 2.3 to 2.7). What comes after them is left out.
 *
 * @throws MalformedError
 */
export function segmentsOfWebp(data: Uint8Array): readonly Segment[] {
  const file = new ByteReader(data);
  const parts = new PartCounter();
  const fileEnd = 8 + file.uint32LE(4);
  file.assertReaches(fileEnd);
  const segments: Segment[] = [{ start: 0, end: 12, isNeeded: true }];
  for (let start = 12; start < fileEnd; ) {
    parts.add();
    const dataEnd = start + 8 + file.uint32LE(start + 4);
    const end = Math.min(dataEnd + (dataEnd % 2), fileEnd); // some writers leave out the last padding
    if (dataEnd > fileEnd) {
      throw new MalformedError(`has a chunk that ends at ${dataEnd}, after the end of its file`);
    }
    segments.push({ start, end, isNeeded: neededChunks.has(file.latin1(start, 4)) });
    start = end;
  }
  return segments;
}

/**
 * Removes EXIF, XMP and all that is unknown, and leaves the data of the picture and its colour profile as they are.
 *
 * @throws MalformedError
 */
export function stripWebp(data: Uint8Array): Buffer<ArrayBuffer> {
  const stripped = neededBytes(data, segmentsOfWebp(data));
  stripped.writeUInt32LE(stripped.length - 8, 4);
  if (stripped.toString("latin1", 12, 16) === "VP8X" && stripped.length > 20) {
    stripped.writeUInt8(stripped.readUInt8(20) & ~(exifFlag | xmpFlag), 20);
  }
  return stripped;
}

/** Whether the main data of a WebP is lossless. Not for animations. */
export function isLosslessWebp(data: Uint8Array): boolean {
  const file = new ByteReader(data);
  return segmentsOfWebp(data).some(({ start }) => file.latin1(start, 4) === "VP8L");
}

const alphaFlag = 0x10;
/** Of the content of a `VP8X`. */
const extendedHeaderBytes = 10;

/**
 * Adds XMP and EXIF in chunks at the end, for which a simple file becomes an extended one (RFC 9649, 2.7); everything
 * else stays byte for byte as it is.
 *
 * @param xmp makes the packet out of the one that there is, which it takes the place of
 * @param exif a TIFF structure, in the place of the one that there is
 * @throws MalformedError
 */
export function addToWebp(
  data: Uint8Array,
  xmp: ((existing: string | undefined) => string) | undefined,
  exif: Uint8Array | undefined,
): Buffer<ArrayBuffer> {
  const file = new ByteReader(data);
  const [, ...chunks] = segmentsOfWebp(data);
  const typeOf = ({ start }: Segment) => file.latin1(start, 4);
  const contentOf = ({ start }: Segment) =>
    Buffer.from(data.subarray(start + 8, start + 8 + file.uint32LE(start + 4)));
  const oldXmp = chunks.find((chunk) => typeOf(chunk) === "XMP ");
  const kept = chunks.filter(
    (chunk) =>
      typeOf(chunk) !== "VP8X" &&
      !(xmp !== undefined && typeOf(chunk) === "XMP ") &&
      !(exif !== undefined && typeOf(chunk) === "EXIF"),
  );
  const extended = chunks.find((chunk) => typeOf(chunk) === "VP8X");
  const header = extended ? contentOf(extended) : extendedHeader(file, kept);
  if (header.length < extendedHeaderBytes) {
    throw new MalformedError("has no room for what is in it");
  }
  header.writeUInt8(header.readUInt8() | (xmp ? xmpFlag : 0) | (exif ? exifFlag : 0));
  const body = Buffer.concat([
    Buffer.from("WEBP"),
    riffChunk("VP8X", header),
    ...kept.map((chunk) => riffChunk(typeOf(chunk), contentOf(chunk))),
    ...(exif ? [riffChunk("EXIF", exif)] : []),
    ...(xmp ? [riffChunk("XMP ", Buffer.from(xmp(oldXmp && contentOf(oldXmp).toString())))] : []),
  ]);
  return riffChunk("RIFF", body);
}

/** What `VP8X` says of a file that has none: its size, and whether it may be transparent. */
function extendedHeader(file: ByteReader, [picture]: readonly Segment[]): Buffer<ArrayBuffer> {
  if (picture === undefined) {
    throw new MalformedError("has no picture");
  }
  const isLossless = file.latin1(picture.start, 4) === "VP8L";
  const at = picture.start + 8;
  // RFC 9649, 3.4: 14 bits each, less one, then a bit for transparency. RFC 6386, 9.1: 14 bits each, after a start code.
  const bits = isLossless ? file.uint32LE(at + 1) : 0;
  const [width, height] = isLossless
    ? [bits & 0x3fff, (bits >>> 14) & 0x3fff]
    : [(file.uint32LE(at + 6) & 0x3fff) - 1, ((file.uint32LE(at + 6) >>> 16) & 0x3fff) - 1];
  const header = Buffer.alloc(extendedHeaderBytes);
  header.writeUInt8(isLossless && (bits >>> 28) & 1 ? alphaFlag : 0);
  header.writeUIntLE(Math.max(0, width), 4, 3);
  header.writeUIntLE(Math.max(0, height), 7, 3);
  return header;
}

function riffChunk(type: string, content: Uint8Array): Buffer<ArrayBuffer> {
  const head = Buffer.from(`${type}\0\0\0\0`, "latin1");
  head.writeUInt32LE(content.length, 4);
  return Buffer.concat([head, content, Buffer.alloc(content.length % 2)]);
}
