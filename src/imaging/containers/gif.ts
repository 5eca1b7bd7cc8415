import { ByteReader, MalformedError, neededBytes, PartCounter, type Segment } from "./segments.ts";

const extension = 0x21;
const image = 0x2c;
const trailer = 0x3b;
const commentLabel = 0xfe;
const applicationLabel = 0xff;
/** Extensions that say how often an animation is repeated. */
const neededApplications: ReadonlySet<string> = new Set(["NETSCAPE2.0", "ANIMEXTS1.0"]);

/**
 * Cuts a GIF into its header and its blocks (GIF89a specification). What comes after its end is left out. A file that
 * ends after a whole block is taken: such files exist, and everything shows them.
 *
 * @throws MalformedError
 */
export function segmentsOfGif(data: Uint8Array): readonly Segment[] {
  const file = new ByteReader(data);
  const parts = new PartCounter();
  const segments: Segment[] = [{ start: 0, end: 13 + tableBytes(file.uint8(10)), isNeeded: true }];
  for (let start = 13 + tableBytes(file.uint8(10)); start < file.length; ) {
    parts.add();
    const end = endOfBlock(file, start);
    segments.push({ start, end, isNeeded: isNeeded(file, start) });
    if (file.uint8(start) === trailer) {
      break;
    }
    start = end;
  }
  return segments;
}

/**
 * Removes comments and what programs have added, XMP for instance. Not a pixel changes.
 *
 * @throws MalformedError
 */
export function stripGif(data: Uint8Array): Buffer<ArrayBuffer> {
  return neededBytes(data, segmentsOfGif(data));
}

function endOfBlock(file: ByteReader, start: number): number {
  switch (file.uint8(start)) {
    case extension:
      return endOfSubBlocks(file, start + 2);
    case image:
      return endOfSubBlocks(file, start + 11 + tableBytes(file.uint8(start + 9)));
    case trailer:
      return start + 1;
    default:
      throw new MalformedError(`has no block at ${start}`);
  }
}

/** Each says how long it is; one of no bytes is the last. */
function endOfSubBlocks(file: ByteReader, from: number): number {
  let at = from;
  for (let sizeBytes = file.uint8(at); sizeBytes > 0; sizeBytes = file.uint8(at)) {
    at += 1 + sizeBytes;
  }
  return at + 1;
}

/** Size of a colour table, as the byte before it says. */
function tableBytes(packed: number): number {
  return (packed & 0x80) === 0 ? 0 : 3 * 2 ** ((packed & 0x07) + 1);
}

function isNeeded(file: ByteReader, start: number): boolean {
  if (file.uint8(start) !== extension) {
    return true;
  }
  const label = file.uint8(start + 1);
  return label === applicationLabel
    ? file.uint8(start + 2) === 11 && neededApplications.has(file.latin1(start + 3, 11))
    : label !== commentLabel;
}
