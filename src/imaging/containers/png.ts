import { ByteReader, neededBytes, PartCounter, type Segment } from "./segments.ts";

/** Chunks that make a picture what it is, colours and animation included; the others tell about it. */
const neededChunks: ReadonlySet<string> = new Set([
  ...["IHDR", "PLTE", "IDAT", "IEND", "tRNS", "bKGD", "sBIT", "pHYs"],
  ...["cHRM", "gAMA", "iCCP", "sRGB", "cICP", "mDCV", "cLLI"],
  ...["acTL", "fcTL", "fdAT"],
]);

/**
 * Cuts a PNG into its signature and its chunks (PNG specification, third edition, 5.3). What comes after the last chunk
 * is left out.
 *
 * @throws MalformedError
 */
export function segmentsOfPng(data: Uint8Array): readonly Segment[] {
  const file = new ByteReader(data);
  const parts = new PartCounter();
  const segments: Segment[] = [{ start: 0, end: 8, isNeeded: true }];
  for (let start = 8, type = ""; type !== "IEND"; ) {
    parts.add();
    type = file.latin1(start + 4, 4);
    const end = start + 12 + file.uint32(start);
    file.assertReaches(end);
    segments.push({ start, end, isNeeded: neededChunks.has(type) });
    start = end;
  }
  return segments;
}

/** Whether a PNG is an animation: has a chunk that says so (PNG specification, third edition, 11.3.6.1). */
export function isAnimatedPng(data: Uint8Array): boolean {
  const file = new ByteReader(data);
  return segmentsOfPng(data).some(({ start }) => file.latin1(start + 4, 4) === "acTL");
}

/**
 * Whether a PNG says which colour, or grey, is to be transparent, instead of having an alpha channel or a palette (PNG
 * specification, third edition, 11.3.1.1).
 */
export function hasTransparentColour(data: Uint8Array): boolean {
  const file = new ByteReader(data);
  const [, header, ...chunks] = segmentsOfPng(data);
  const colourType = header && file.uint8(header.start + 17);
  const isGreyOrColour = colourType === 0 || colourType === 2;
  return isGreyOrColour && chunks.some(({ start }) => file.latin1(start + 4, 4) === "tRNS");
}

/**
 * Removes texts, time, EXIF and all that is unknown. Not a pixel changes.
 *
 * @throws MalformedError
 */
export function stripPng(data: Uint8Array): Buffer<ArrayBuffer> {
  return neededBytes(data, segmentsOfPng(data));
}
