import { isShownSafely } from "../../domain/file-kind.ts";

/**
 * Value of `Content-Disposition` for a file that is to be shown if that is safe, and saved under `fileName` if it is not
 * empty (RFC 6266). Old clients, which do not know the encoded form (RFC 8187), get a name without what is not ASCII.
 */
export function contentDispositionOf(fileName: string, mediaType: string): string {
  const type = isShownSafely(mediaType) ? "inline" : "attachment";
  if (fileName === "") {
    return type;
  }
  const ascii = fileName.replace(/[^\x20-\x7e]|["\\%]/gu, "_");
  const encoded = encodeURIComponent(fileName.toWellFormed()).replace(/['()*]/g, percentEncode);
  return `${type}; filename="${ascii}"; filename*=UTF-8''${encoded}`;
}

/** For what `encodeURIComponent` leaves alone, and RFC 8187 does not allow. */
function percentEncode(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
}
