const softwareTag = 0x0131;
const exifPointerTag = 0x8769;
const exifVersionTag = 0x9000;
const userCommentTag = 0x9286;
const ascii = 2;
const long = 4;
const undefinedType = 7;

/**
 * An EXIF block (CIPA DC-008, TIFF 6.0) with a user comment in Unicode and the name of the software. Big-endian, since
 * programs that read such comments take them to be so.
 */
export function exifWithComment(comment: string, software: string): Buffer<ArrayBuffer> {
  const text = Buffer.concat([
    Buffer.from("UNICODE\0", "latin1"),
    Buffer.from(comment.toWellFormed(), "utf16le").swap16(),
  ]);
  const name = Buffer.from(`${software}\0`, "latin1");
  const firstDirectory = 8;
  const exifDirectory = firstDirectory + directoryBytes(2);
  const data = exifDirectory + directoryBytes(2);
  const header = Buffer.from("MM\0*\0\0\0\x08", "latin1");
  const image = directory([
    [softwareTag, ascii, name.length, data],
    [exifPointerTag, long, 1, exifDirectory],
  ]);
  const exif = directory([
    [exifVersionTag, undefinedType, 4, Buffer.from("0232").readUInt32BE()],
    [userCommentTag, undefinedType, text.length, data + even(name.length)],
  ]);
  return Buffer.concat([header, image, exif, name, Buffer.alloc(even(name.length) - name.length), text]);
}

type Entry = readonly [tag: number, type: number, count: number, value: number];

function directory(entries: readonly Entry[]): Buffer {
  const bytes = Buffer.alloc(directoryBytes(entries.length));
  bytes.writeUInt16BE(entries.length);
  for (const [i, [tag, type, count, value]] of entries.entries()) {
    const at = 2 + 12 * i;
    bytes.writeUInt16BE(tag, at);
    bytes.writeUInt16BE(type, at + 2);
    bytes.writeUInt32BE(count, at + 4);
    bytes.writeUInt32BE(value, at + 8);
  }
  return bytes;
}

function directoryBytes(entryCount: number): number {
  return 2 + 12 * entryCount + 4;
}

function even(length: number): number {
  return length + (length % 2);
}
