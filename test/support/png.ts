/** What a PNG says about itself; the pixels are left alone. */
export interface PngFacts {
  readonly widthPx: number;
  readonly heightPx: number;
  /** Its `tEXt` and uncompressed `iTXt` chunks, by keyword. */
  readonly texts: Readonly<Record<string, string>>;
}

/**
 * Reads the chunks of a PNG (PNG specification, third edition, 5.3).
 *
 * @throws Error if it is no PNG, or is cut off
 */
export function readPng(bytes: Uint8Array): PngFacts {
  const png = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const chunks = chunksOf(png);
  const [header] = chunks;
  if (header?.type !== "IHDR" || chunks.at(-1)?.type !== "IEND") {
    throw new Error("no PNG: it does not begin with IHDR and end with IEND");
  }
  return {
    widthPx: header.data.readUInt32BE(0),
    heightPx: header.data.readUInt32BE(4),
    texts: Object.fromEntries(chunks.flatMap(textOf)),
  };
}

interface Chunk {
  readonly type: string;
  readonly data: Buffer;
}

const signature = Buffer.from("\x89PNG\r\n\x1a\n", "latin1");

function chunksOf(png: Buffer): Chunk[] {
  if (!png.subarray(0, signature.length).equals(signature)) {
    throw new Error("no PNG: the signature is missing");
  }
  const chunks: Chunk[] = [];
  for (let at = signature.length; at < png.length; ) {
    const start = at + 8;
    const end = start + png.readUInt32BE(at);
    if (end + 4 > png.length) {
      throw new Error("the PNG is cut off");
    }
    chunks.push({ type: png.toString("latin1", at + 4, start), data: png.subarray(start, end) });
    at = end + 4;
  }
  return chunks;
}

function textOf({ type, data }: Chunk): [keyword: string, text: string][] {
  const nul = data.indexOf(0);
  const keyword = data.toString("latin1", 0, nul);
  if (type === "tEXt") {
    return [[keyword, data.toString("latin1", nul + 1)]];
  }
  if (type !== "iTXt" || data[nul + 1] !== 0) {
    return [];
  }
  const language = data.indexOf(0, nul + 3);
  const translated = data.indexOf(0, language + 1);
  return [[keyword, data.toString("utf8", translated + 1)]];
}
