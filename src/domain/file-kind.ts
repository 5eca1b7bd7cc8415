import type { OutputKind } from "./output.ts";

/** What a file is. */
export interface FileKind {
  readonly kind: OutputKind;
  readonly mediaType: string;
}

/** So many of the first bytes of a file {@link kindOfFile} looks at. */
export const fileHeadBytes = 4_096;

/**
 * Tells what a file is by its first bytes, and only where these cannot tell by the end of its name. What browsers may show
 * or play is told by bytes alone, and nothing is ever taken for a page: whoever made a workflow chose the names and contents.
 */
export function kindOfFile(head: Uint8Array, fileName: string): FileKind {
  const text = Buffer.from(head.buffer, head.byteOffset, Math.min(head.length, fileHeadBytes)).toString(
    "latin1",
  );
  return kindOfBytes(text) ?? kindOfName(text, fileName);
}

const octets = "application/octet-stream";

function kindOfBytes(head: string): FileKind | undefined {
  if (head.startsWith("ftyp", 4)) {
    return kindOfIsoMedia(head);
  }
  if (head.startsWith("RIFF")) {
    return kindOfRiff(head);
  }
  if (head.startsWith("\x1a\x45\xdf\xa3")) {
    return head.includes("webm") ? of("video", "video/webm") : of("video", "video/x-matroska");
  }
  return signatures.find(([signature]) => head.startsWith(signature))?.[1] ?? kindOfMpegAudio(head);
}

const signatures: readonly (readonly [signature: string, is: FileKind])[] = [
  ["\x89PNG\r\n\x1a\n", of("image", "image/png")],
  ["\xff\xd8\xff", of("image", "image/jpeg")],
  ["GIF87a", of("animation", "image/gif")],
  ["GIF89a", of("animation", "image/gif")],
  ["BM", of("image", "image/bmp")],
  ["II*\0", of("image", "image/tiff")],
  ["MM\0*", of("image", "image/tiff")],
  ["\x76\x2f\x31\x01", of("image", "image/x-exr")],
  ["#?RADIANCE", of("image", "image/vnd.radiance")],
  ["fLaC", of("audio", "audio/flac")],
  ["OggS", of("audio", "audio/ogg")],
  ["ID3", of("audio", "audio/mpeg")],
  ["glTF", of("model3d", "model/gltf-binary")],
];

/** ISO/IEC 14496-12: the main brand, a version, and brands that the file is compatible with. */
function kindOfIsoMedia(head: string): FileKind {
  const size = Buffer.from(head.slice(0, 4), "latin1").readUInt32BE();
  const main = head.slice(8, 12);
  const brands = [main, ...(head.slice(16, size).match(/.{4}/gs) ?? [])];
  if (brands.includes("avis")) {
    return of("animation", "image/avif");
  }
  if (brands.includes("avif")) {
    return of("image", "image/avif");
  }
  if (brands.some((brand) => brand === "heic" || brand === "heix" || brand === "mif1")) {
    return of("image", "image/heic");
  }
  if (main === "M4A " || main === "M4B ") {
    return of("audio", "audio/mp4");
  }
  return main === "qt  " ? of("video", "video/quicktime") : of("video", "video/mp4");
}

function kindOfRiff(head: string): FileKind | undefined {
  switch (head.slice(8, 12)) {
    case "WEBP": {
      const isAnimated = head.startsWith("VP8X", 12) && (head.charCodeAt(20) & 0x02) !== 0;
      return of(isAnimated ? "animation" : "image", "image/webp");
    }
    case "WAVE":
      return of("audio", "audio/wav");
    case "AVI ":
      return of("video", "video/x-msvideo");
    default:
      return undefined;
  }
}

/** ISO/IEC 11172-3, 2.4.1.3: eleven set bits, then neither a reserved version nor a reserved layer, rate or frequency. */
function kindOfMpegAudio(head: string): FileKind | undefined {
  const [first, second, third] = [head.charCodeAt(0), head.charCodeAt(1), head.charCodeAt(2)];
  const isFrame =
    first === 0xff &&
    (second & 0xe0) === 0xe0 &&
    (second & 0x18) !== 0x08 &&
    (second & 0x06) !== 0 &&
    third >> 4 !== 0x0f &&
    (third & 0x0c) !== 0x0c;
  return isFrame ? of("audio", "audio/mpeg") : undefined;
}

function kindOfName(head: string, fileName: string): FileKind {
  const [, extension = ""] = /\.([a-z0-9]+)$/i.exec(fileName) ?? [];
  const named = kinds.get(extension.toLowerCase()) ?? of("file", octets);
  return named.kind === "text" && head.includes("\0") ? of("file", octets) : named;
}

const kinds: ReadonlyMap<string, FileKind> = new Map(
  Object.entries({
    latent: of("latent", octets),
    gltf: of("model3d", "model/gltf+json"),
    obj: of("model3d", "model/obj"),
    stl: of("model3d", "model/stl"),
    ply: of("model3d", octets),
    fbx: of("model3d", octets),
    usdz: of("model3d", "model/vnd.usdz+zip"),
    splat: of("model3d", octets),
    ksplat: of("model3d", octets),
    spz: of("model3d", octets),
    txt: of("text", "text/plain"),
    md: of("text", "text/plain"),
    csv: of("text", "text/plain"),
    srt: of("text", "text/plain"),
    json: of("text", "application/json"),
    svg: of("image", "image/svg+xml"),
  }),
);

function of(kind: OutputKind, mediaType: string): FileKind {
  return { kind, mediaType };
}

/** Whether browsers show or play this without running anything of it. Everything else is only to be saved. */
export function isShownSafely(mediaType: string): boolean {
  return shown.has(mediaType);
}

const shown: ReadonlySet<string> = new Set([
  ...["image/png", "image/jpeg", "image/webp", "image/avif", "image/gif", "image/apng"],
  ...["video/mp4", "video/webm", "video/quicktime", "video/x-matroska", "video/x-msvideo"],
  ...["audio/mpeg", "audio/mp4", "audio/flac", "audio/ogg", "audio/wav"],
]);
