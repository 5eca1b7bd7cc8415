/** Media types of the images that callers may upload. */
export type UploadMediaType = "image/png" | "image/jpeg" | "image/webp" | "image/avif" | "image/gif";

/** How each of them is called when we speak to people. */
export const titleOf: Readonly<Record<UploadMediaType, string>> = {
  "image/png": "PNG",
  "image/jpeg": "JPEG",
  "image/webp": "WebP",
  "image/avif": "AVIF",
  "image/gif": "GIF",
};

export function isUploadMediaType(mediaType: string): mediaType is UploadMediaType {
  return Object.hasOwn(titleOf, mediaType);
}

/**
 * Tells by its first bytes what an image claims to be; `undefined` if it is none of those that are taken. Names and
 * declared types are of no use for that: anybody may write anything there.
 */
export function detectMediaType(data: Uint8Array): UploadMediaType | undefined {
  const head = Buffer.from(data.buffer, data.byteOffset, Math.min(data.length, 256)).toString("latin1");
  if (head.startsWith("\x89PNG\r\n\x1a\n")) {
    return "image/png";
  }
  if (head.startsWith("\xff\xd8\xff")) {
    return "image/jpeg";
  }
  if (head.startsWith("RIFF") && head.startsWith("WEBP", 8)) {
    return "image/webp";
  }
  if (head.startsWith("GIF87a") || head.startsWith("GIF89a")) {
    return "image/gif";
  }
  return isAvif(head) ? "image/avif" : undefined;
}

/** The `ftyp` box: its size, its name, the main brand, a version, and brands that the file is compatible with. */
function isAvif(head: string): boolean {
  if (!head.startsWith("ftyp", 4)) {
    return false;
  }
  const size = Buffer.from(head.slice(0, 4), "latin1").readUInt32BE();
  const brands = [head.slice(8, 12), ...(head.slice(16, size).match(/.{4}/gs) ?? [])];
  return brands.includes("avif") || brands.includes("avis");
}
