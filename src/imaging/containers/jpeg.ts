import { ByteReader, MalformedError, neededBytes, PartCounter, type Segment } from "./segments.ts";

const startOfScan = 0xda;
const endOfImage = 0xd9;
const comment = 0xfe;

/**
 * Cuts a JPEG into its marker segments, a scan with its data being one (ITU-T T.81, annex B). What comes after the end
 * of the image is left out: cameras put larger previews and other pictures there.
 *
 * @throws MalformedError
 */
export function segmentsOfJpeg(data: Uint8Array): readonly Segment[] {
  const file = new ByteReader(data);
  const parts = new PartCounter();
  const segments: Segment[] = [{ start: 0, end: 2, isNeeded: true }];
  for (let start = 2; ; ) {
    parts.add();
    const marker = file.uint8(start) === 0xff ? file.uint8(start + 1) : 0;
    if (marker === 0 || marker === 0xff) {
      start = nextFill(file, start + 1); // some cameras leave bytes between segments, which decoders skip
      continue;
    }
    const end = endOf(file, marker, start);
    segments.push({ start, end, isNeeded: isNeeded(file, marker, start, end) });
    if (marker === endOfImage) {
      return segments;
    }
    start = end;
  }
}

/**
 * Removes EXIF, XMP, IPTC, comments, thumbnails and all that is unknown, and leaves the data of the picture and its
 * colour profile as they are.
 *
 * @throws MalformedError
 */
export function stripJpeg(data: Uint8Array): Buffer<ArrayBuffer> {
  return neededBytes(data, segmentsOfJpeg(data));
}

/** Where the next marker may be: it begins with 0xff, of which there may be several. */
function nextFill(file: ByteReader, from: number): number {
  const at = file.indexOf(0xff, from);
  if (at < 0) {
    throw new MalformedError(`has no marker after ${from}`);
  }
  return at;
}

function endOf(file: ByteReader, marker: number, start: number): number {
  if (isAlone(marker)) {
    return start + 2;
  }
  const end = start + 2 + file.uint16(start + 2);
  file.assertReaches(end);
  return marker === startOfScan ? endOfScan(file, end) : end;
}

/** In the data of a scan, 0xff is followed by 0 or, between its parts, the number of a restart. */
function endOfScan(file: ByteReader, from: number): number {
  for (let at = file.indexOf(0xff, from); at >= 0; at = file.indexOf(0xff, at + 1)) {
    const next = file.uint8(at + 1);
    if (next !== 0 && next !== 0xff && !isRestart(next)) {
      return at;
    }
  }
  throw new MalformedError("ends in the middle of a scan");
}

function isAlone(marker: number): boolean {
  return marker === endOfImage || marker === 0x01 || isRestart(marker);
}

function isRestart(marker: number): boolean {
  return marker >= 0xd0 && marker <= 0xd7;
}

/** Of the segments for applications, those that say how colours are meant. */
function isNeeded(file: ByteReader, marker: number, start: number, end: number): boolean {
  if (marker < 0xe0 || marker > 0xef) {
    return marker !== comment;
  }
  const name = file.latin1(start + 4, Math.min(12, end - start - 4));
  switch (marker) {
    case 0xe0:
      // Has the pixel density. With a thumbnail it is longer, and left out whole; nothing is seen of that.
      return name.startsWith("JFIF\0") && end - start === 18;
    case 0xe2:
      return name.startsWith("ICC_PROFILE\0");
    case 0xee:
      return name.startsWith("Adobe");
    default:
      return false;
  }
}

const xmpName = "http://ns.adobe.com/xap/1.0/\0";
const exifName = "Exif\0\0";
/** Of the content of a segment, its length included. */
const maxSegmentBytes = 65_535;

/**
 * Adds XMP and EXIF where programs look for them, after the segment with the pixel density; everything else stays byte
 * for byte as it is.
 *
 * @param xmp makes the packet out of the one that there is, which it takes the place of
 * @param exif a TIFF structure; EXIF that there is stays before it
 * @throws MalformedError, also if something is too large for a JPEG
 */
export function addToJpeg(
  data: Uint8Array,
  xmp: ((existing: string | undefined) => string) | undefined,
  exif: Uint8Array | undefined,
): Buffer<ArrayBuffer> {
  const file = new ByteReader(data);
  const segments = segmentsOfJpeg(data);
  const named = ({ start, end }: Segment, marker: number, name: string) =>
    file.uint8(start + 1) === marker &&
    end - start >= 4 + name.length &&
    file.latin1(start + 4, name.length) === name;
  const old = xmp && segments.slice(1).find((one) => named(one, 0xe1, xmpName));
  const density = segments.slice(1).find((one) => named(one, 0xe0, "JFIF\0"));
  const oldExif = segments.slice(1).find((one) => named(one, 0xe1, exifName));
  const at = Math.max(2, density?.end ?? 0, oldExif?.end ?? 0);
  const oldXmp = old && Buffer.from(data.subarray(old.start + 4 + xmpName.length, old.end)).toString();
  const added = [
    ...(exif ? [segment(0xe1, Buffer.concat([Buffer.from(exifName, "latin1"), exif]))] : []),
    ...(xmp ? [segment(0xe1, Buffer.from(`${xmpName}${xmp(oldXmp)}`))] : []),
  ];
  const cut = old ?? { start: at, end: at };
  return cut.start < at
    ? Buffer.concat([data.subarray(0, cut.start), data.subarray(cut.end, at), ...added, data.subarray(at)])
    : Buffer.concat([data.subarray(0, at), ...added, data.subarray(at, cut.start), data.subarray(cut.end)]);
}

function segment(marker: number, content: Uint8Array): Buffer {
  if (content.length + 2 > maxSegmentBytes) {
    throw new MalformedError(`has no room for ${content.length} bytes of metadata`);
  }
  const head = Buffer.from([0xff, marker, 0, 0]);
  head.writeUInt16BE(content.length + 2, 2);
  return Buffer.concat([head, content]);
}
