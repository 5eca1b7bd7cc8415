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
