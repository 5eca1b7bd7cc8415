import { type ByteReader, MalformedError, PartCounter } from "./segments.ts";

/** A box of the ISO base media file format (ISO/IEC 14496-12, 4.2); its content is from `start` to `end`. */
export interface Box {
  readonly type: string;
  /** Where the box begins, with its size and its type. */
  readonly boxStart: number;
  readonly start: number;
  readonly end: number;
}

/**
 * The boxes between two places, one after the other.
 *
 * @throws MalformedError
 */
export function boxesIn(file: ByteReader, start: number, end: number): readonly Box[] {
  const boxes: Box[] = [];
  const parts = new PartCounter();
  for (let at = start; at < end; ) {
    parts.add();
    const size = file.uint32(at);
    const headerBytes = size === 1 ? 16 : 8;
    const boxEnd = size === 0 ? end : at + (size === 1 ? file.uint(at + 8, 8) : size);
    if (boxEnd > end || boxEnd < at + headerBytes) {
      throw new MalformedError(`has a box at ${at} that does not fit`);
    }
    boxes.push({ type: file.latin1(at + 4, 4), boxStart: at, start: at + headerBytes, end: boxEnd });
    at = boxEnd;
  }
  return boxes;
}
