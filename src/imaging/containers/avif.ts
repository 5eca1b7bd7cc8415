import { type Box, boxesIn } from "./avif-boxes.ts";
import { ByteReader, MalformedError, PartCounter } from "./segments.ts";

/** Where some bytes of an item are. */
interface Extent {
  readonly start: number;
  readonly end: number;
}

/** An EXIF block (TIFF) that says nothing, after the offset that items of this kind begin with. */
const emptyExif = Buffer.from("00000000" + "49492a0008000000" + "0000" + "00000000", "hex");

/** Whether an AVIF is an animation. */
export function isAvifSequence(data: Uint8Array): boolean {
  return boxesIn(new ByteReader(data), 0, data.length).some(({ type }) => type === "moov");
}

/**
 * Overwrites EXIF, XMP and what programs have added, where it is: so that everything else stays where the file says it
 * is, and the data of the picture and its colour profile are left as they are. The file keeps its size.
 *
 * @throws MalformedError
 */
export function stripAvif(data: Uint8Array): Buffer<ArrayBuffer> {
  const file = new ByteReader(data);
  const stripped = Buffer.from(data);
  for (const box of boxesIn(file, 0, data.length)) {
    if (box.type === "uuid") {
      stripped.write("free", box.boxStart + 4, "latin1");
      stripped.fill(0, box.start, box.end);
    } else if (box.type === "meta") {
      blankItems(file, box, stripped);
    }
  }
  return stripped;
}

function blankItems(file: ByteReader, meta: Box, stripped: Buffer): void {
  const boxes = boxesIn(file, meta.start + 4, meta.end);
  const types = itemTypes(file, boxes);
  let blanked = 0;
  for (const [id, extents] of itemExtents(file, boxes)) {
    const type = types.get(id);
    if (type !== "Exif" && type !== "mime") {
      continue; // a part of the picture
    }
    if (extents === undefined) {
      throw new MalformedError("has metadata in a place that is not known");
    }
    for (const [i, { start, end }] of extents.entries()) {
      file.assertReaches(end);
      blanked += end - start;
      if (blanked > file.length) {
        throw new MalformedError("has more metadata than bytes");
      }
      stripped.fill(type === "Exif" ? 0 : 0x20, start, end);
      if (type === "Exif" && i === 0 && end - start >= emptyExif.length) {
        emptyExif.copy(stripped, start);
      }
    }
  }
}

/** ISO/IEC 14496-12, 8.11.6: what kind each item is of. */
function itemTypes(file: ByteReader, boxes: readonly Box[]): Map<number, string> {
  const types = new Map<number, string>();
  const info = boxes.find(({ type }) => type === "iinf");
  if (info === undefined) {
    return types;
  }
  const countBytes = file.uint8(info.start) === 0 ? 2 : 4;
  for (const entry of boxesIn(file, info.start + 4 + countBytes, info.end)) {
    const version = file.uint8(entry.start);
    if (entry.type !== "infe" || version < 2) {
      throw new MalformedError("has items of an unknown kind");
    }
    const id = version === 2 ? file.uint16(entry.start + 4) : file.uint32(entry.start + 4);
    types.set(id, file.latin1(entry.start + (version === 2 ? 8 : 10), 4));
  }
  return types;
}

/** ISO/IEC 14496-12, 8.11.3: where each item is, in the file or in the `idat` box; `undefined` for other places. */
function itemExtents(file: ByteReader, boxes: readonly Box[]): Map<number, readonly Extent[] | undefined> {
  const items = new Map<number, readonly Extent[] | undefined>();
  const location = boxes.find(({ type }) => type === "iloc");
  if (location === undefined) {
    return items;
  }
  const version = file.uint8(location.start);
  const sizes = file.uint16(location.start + 4);
  const [offsetBytes, lengthBytes, baseBytes] = [sizes >> 12, (sizes >> 8) & 15, (sizes >> 4) & 15];
  const indexBytes = version === 0 ? 0 : sizes & 15;
  const idBytes = version < 2 ? 2 : 4;
  const idata = boxes.find(({ type }) => type === "idat");
  let at = location.start + 6;
  const count = idBytes === 2 ? file.uint16(at) : file.uint32(at);
  at += idBytes;
  const parts = new PartCounter();
  for (let i = 0; i < count; i++) {
    const id = idBytes === 2 ? file.uint16(at) : file.uint32(at);
    at += idBytes;
    const method = version === 0 ? 0 : file.uint16(at) & 15;
    at += version === 0 ? 2 : 4; // and the number of a file, 0 for this one
    const origin = lengthBytes === 0 ? undefined : originOf(method, idata);
    const base = file.uint(at, baseBytes) + (origin ?? 0);
    at += baseBytes;
    parts.add();
    const extentCount = file.uint16(at);
    at += 2;
    const extents: Extent[] = [];
    for (let j = 0; j < extentCount; j++) {
      parts.add();
      at += indexBytes;
      const start = base + file.uint(at, offsetBytes);
      extents.push({ start, end: start + file.uint(at + offsetBytes, lengthBytes) });
      at += offsetBytes + lengthBytes;
    }
    items.set(id, origin === undefined ? undefined : extents);
  }
  return items;
}

function originOf(method: number, idata: Box | undefined): number | undefined {
  return method === 0 ? 0 : method === 1 ? idata?.start : undefined;
}
