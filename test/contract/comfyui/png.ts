/** Reads the `tEXt` chunks of a PNG: keyword to text (PNG specification, 11.3.3.2). */
export function pngTexts(png: Buffer): Record<string, string> {
  return Object.fromEntries(
    chunksOf(png)
      .filter(({ type }) => type === "tEXt")
      .map(({ data }) => splitAtNul(data.toString("latin1"))),
  );
}

interface Chunk {
  type: string;
  data: Buffer;
}

const SIGNATURE_LENGTH = 8;
const CRC_LENGTH = 4;

function chunksOf(png: Buffer): Chunk[] {
  const chunks: Chunk[] = [];
  for (let offset = SIGNATURE_LENGTH; offset < png.length; ) {
    const length = png.readUInt32BE(offset);
    const start = offset + 8;
    chunks.push({
      type: png.toString("latin1", offset + 4, start),
      data: png.subarray(start, start + length),
    });
    offset = start + length + CRC_LENGTH;
  }
  return chunks;
}

function splitAtNul(text: string): [keyword: string, value: string] {
  const nul = text.indexOf("\0");
  return [text.slice(0, nul), text.slice(nul + 1)];
}
