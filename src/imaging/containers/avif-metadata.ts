import { type Box, boxesIn } from "./avif-boxes.ts";
import { ByteReader, MalformedError, PartCounter } from "./segments.ts";

/** What is to be put into an AVIF: an item of the kind that its format has for it. */
type AddedItem = { readonly type: "xmp" | "exif"; readonly content: Buffer };

/**
 * Adds XMP and EXIF as items that describe the picture (ISO/IEC 23008-12, annex A). They are put at the end of the file,
 * and named in its `meta` box, which grows by that: what follows moves, and is found where it is then. No byte of the
 * picture changes.
 *
 * @param xmp makes the packet out of the one that there is, which it takes the place of
 * @param exif a TIFF structure
 * @throws MalformedError, also for files that are built in a way which no encoder of ours uses
 */
export function addToAvif(
  data: Uint8Array,
  xmp: ((existing: string | undefined) => string) | undefined,
  exif: Uint8Array | undefined,
): Buffer<ArrayBuffer> {
  const file = new ByteReader(data);
  const meta = boxesIn(file, 0, data.length).find(({ type }) => type === "meta");
  if (meta === undefined) {
    throw new MalformedError("has no metadata box");
  }
  const boxes = boxesIn(file, meta.start + 4, meta.end);
  const items = new ItemInfos(file, need(boxes, "iinf"));
  const locations = new ItemLocations(file, need(boxes, "iloc"));
  const primaryId = primaryItem(file, need(boxes, "pitm"));
  const oldXmp = xmp && items.xmpId();
  const oldPacket = oldXmp === undefined ? undefined : locations.read(data, oldXmp).toString();
  const packet = xmp?.(oldPacket);
  const added: AddedItem[] = [
    ...(exif ? [{ type: "exif", content: Buffer.concat([Buffer.alloc(4), exif]) } as const] : []),
    ...(packet !== undefined && packet !== oldPacket
      ? [{ type: "xmp", content: Buffer.from(packet) } as const]
      : []),
  ];
  if (added.length === 0) {
    return Buffer.from(data);
  }
  const placed = added.map((item) => {
    const isOld = item.type === "xmp" && oldXmp !== undefined;
    return { ...item, id: isOld ? oldXmp : items.add(item.type), isOld };
  });
  const newIds = placed.filter(({ isOld }) => !isOld).map(({ id }) => id);

  // How long the box becomes does not depend on the places of the items, which depend on how long it becomes.
  const build = (delta: number) => {
    let start = data.length + delta + 8;
    const places = placed.map(({ id, content, isOld }) => {
      const place = { id, start, length: content.length, isOld };
      start += content.length;
      return place;
    });
    return rebuilt(data, meta, boxes, {
      iinf: items.box(),
      iloc: locations.box(places, delta, meta.end),
      iref: referencesWith(file, boxes, newIds, primaryId),
    });
  };
  const delta = build(0).length - (meta.end - meta.boxStart);
  return Buffer.concat([
    data.subarray(0, meta.boxStart),
    build(delta),
    data.subarray(meta.end),
    box("mdat", ...placed.map(({ content }) => content)),
  ]);
}

function need(boxes: readonly Box[], type: string): Box {
  const found = boxes.find((one) => one.type === type);
  if (found === undefined) {
    throw new MalformedError(`has no ${type} box`);
  }
  return found;
}

/** The `meta` box with these in the place of those that it has; new ones come last. */
function rebuilt(
  data: Uint8Array,
  meta: Box,
  boxes: readonly Box[],
  replaced: Readonly<Record<"iinf" | "iloc" | "iref", Buffer>>,
): Buffer {
  const parts = boxes.map((one) =>
    isReplaced(one.type) ? replaced[one.type] : data.subarray(one.boxStart, one.end),
  );
  const hasReferences = boxes.some(({ type }) => type === "iref");
  return box(
    "meta",
    data.subarray(meta.start, meta.start + 4),
    ...parts,
    ...(hasReferences ? [] : [replaced.iref]),
  );
}

function isReplaced(type: string): type is "iinf" | "iloc" | "iref" {
  return type === "iinf" || type === "iloc" || type === "iref";
}

/** ISO/IEC 14496-12, 8.11.4. */
function primaryItem(file: ByteReader, { start }: Box): number {
  return file.uint8(start) === 0 ? file.uint16(start + 4) : file.uint32(start + 4);
}

/** ISO/IEC 14496-12, 8.11.6: what there is. */
class ItemInfos {
  readonly #file: ByteReader;
  readonly #head: Buffer;
  readonly #entries: Buffer[] = [];
  readonly #boxes: readonly Box[];
  #nextId = 1;

  constructor(file: ByteReader, info: Box) {
    this.#file = file;
    const headBytes = file.uint8(info.start) === 0 ? 6 : 8;
    this.#head = Buffer.from(file.bytes(info.start, headBytes));
    this.#boxes = boxesIn(file, info.start + headBytes, info.end);
    for (const entry of this.#boxes) {
      this.#entries.push(Buffer.from(file.bytes(entry.boxStart, entry.end - entry.boxStart)));
      this.#nextId = Math.max(this.#nextId, this.#idOf(entry) + 1);
    }
  }

  /** The item that is an XMP packet, if there is one. */
  xmpId(): number | undefined {
    const entry = this.#boxes.find(({ start, end }) => {
      const content = this.#file.latin1(start, end - start);
      return content.includes("mime") && content.includes("application/rdf+xml");
    });
    return entry && this.#idOf(entry);
  }

  /** @returns its id */
  add(type: AddedItem["type"]): number {
    const id = this.#nextId++;
    const text = type === "xmp" ? "mime\0application/rdf+xml\0" : "Exif\0";
    if (id > 0xffff) {
      throw new MalformedError("has too many items");
    }
    this.#entries.push(box("infe", Buffer.from([2, 0, 0, 0, id >> 8, id & 0xff, 0, 0]), Buffer.from(text)));
    return id;
  }

  box(): Buffer {
    const head = this.#head.subarray(0, 4);
    return box("iinf", head, number(this.#entries.length, this.#head.length - 4), ...this.#entries);
  }

  #idOf({ type, start }: Box): number {
    const version = this.#file.uint8(start);
    if (type !== "infe" || version < 2) {
      throw new MalformedError("has items of an unknown kind");
    }
    return version === 2 ? this.#file.uint16(start + 4) : this.#file.uint32(start + 4);
  }
}

interface Place {
  readonly id: number;
  readonly start: number;
  readonly length: number;
  /** Whether the item has been there before, at another place. */
  readonly isOld: boolean;
}

interface Location {
  readonly id: number;
  readonly method: number;
  readonly reference: number;
  readonly base: number;
  readonly extents: readonly { readonly index: number; readonly offset: number; readonly length: number }[];
}

/** ISO/IEC 14496-12, 8.11.3: where each item is. */
class ItemLocations {
  readonly #version: number;
  readonly #locations: Location[] = [];

  constructor(file: ByteReader, location: Box) {
    const version = file.uint8(location.start);
    const sizes = file.uint16(location.start + 4);
    const [offsetBytes, lengthBytes, baseBytes] = [sizes >> 12, (sizes >> 8) & 15, (sizes >> 4) & 15];
    const indexBytes = version === 0 ? 0 : sizes & 15;
    const idBytes = version < 2 ? 2 : 4;
    this.#version = version;
    let at = location.start + 6;
    const take = (bytes: number) => {
      const value = bytes === 2 ? file.uint16(at) : file.uint(at, bytes);
      at += bytes;
      return value;
    };
    const parts = new PartCounter();
    for (let left = take(idBytes); left > 0; left--) {
      parts.add();
      const id = take(idBytes);
      const method = version === 0 ? 0 : take(2) & 15;
      const reference = take(2);
      const base = take(baseBytes);
      const extents = Array.from({ length: take(2) }, () => {
        parts.add();
        return { index: take(indexBytes), offset: take(offsetBytes), length: take(lengthBytes) };
      });
      this.#locations.push({ id, method, reference, base, extents });
    }
  }

  /** The bytes of an item. */
  read(data: Uint8Array, id: number): Buffer {
    const location = this.#locations.find((one) => one.id === id);
    if (location?.method !== 0 || location.reference !== 0) {
      throw new MalformedError("has metadata in a place that is not known");
    }
    if (location.extents.reduce((total, { length }) => total + length, 0) > data.length) {
      throw new MalformedError("has metadata that lies over itself");
    }
    return Buffer.concat(
      location.extents.map(({ offset, length }) =>
        data.subarray(location.base + offset, location.base + offset + length),
      ),
    );
  }

  /**
   * @param delta by how much everything moves that is at `after` or later
   */
  box(places: readonly Place[], delta: number, after: number): Buffer {
    const moved = this.#locations
      .filter(({ id }) => !places.some((place) => place.id === id))
      .map((one) => {
        const isInFile = one.method === 0 && one.reference === 0;
        const extents = one.extents.map(({ index, offset, length }) => {
          const start = one.base + offset;
          return { index, offset: isInFile && start >= after ? start + delta : start, length };
        });
        return { ...one, extents };
      });
    const added = places.map(({ id, start, length }) => {
      return { id, method: 0, reference: 0, extents: [{ index: 0, offset: start, length }] };
    });
    const all = [...moved, ...added];
    // Offsets and lengths of four bytes, no base; indices of extents only where they may be.
    const hasMethods = this.#version > 0;
    const idBytes = this.#version < 2 ? 2 : 4;
    const hasIndices = hasMethods && all.some(({ extents }) => extents.some(({ index }) => index > 0));
    const entries = all.map(({ id, method, reference, extents }) =>
      Buffer.concat([
        number(id, idBytes),
        ...(hasMethods ? [number(method, 2)] : []),
        number(reference, 2),
        number(extents.length, 2),
        ...extents.flatMap(({ index, offset, length }) => [
          ...(hasIndices ? [number(index, 4)] : []),
          number(offset, 4),
          number(length, 4),
        ]),
      ]),
    );
    const head = Buffer.from([this.#version, 0, 0, 0, 0x44, hasIndices ? 0x04 : 0x00]);
    return box("iloc", head, number(all.length, idBytes), ...entries);
  }
}

/** ISO/IEC 14496-12, 8.11.12: the references that there are, and that the new items describe the picture. */
function referencesWith(
  file: ByteReader,
  boxes: readonly Box[],
  ids: readonly number[],
  primaryId: number,
): Buffer {
  const old = boxes.find(({ type }) => type === "iref");
  const content = old ? Buffer.from(file.bytes(old.start, old.end - old.start)) : Buffer.alloc(4);
  const idBytes = content.readUInt8() === 0 ? 2 : 4;
  const references = ids.map((id) =>
    box("cdsc", number(id, idBytes), number(1, 2), number(primaryId, idBytes)),
  );
  return box("iref", content, ...references);
}

/** @throws MalformedError if the number needs more than `bytes` */
function number(value: number, bytes: number): Buffer {
  if (value >= 2 ** (8 * bytes)) {
    throw new MalformedError("is too large for more metadata");
  }
  const buffer = Buffer.alloc(bytes);
  buffer.writeUIntBE(value, 0, bytes);
  return buffer;
}

function box(type: string, ...content: readonly Uint8Array[]): Buffer<ArrayBuffer> {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(8 + content.reduce((total, { length }) => total + length, 0));
  head.write(type, 4, "latin1");
  return Buffer.concat([head, ...content]);
}
