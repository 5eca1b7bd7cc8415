import { cutText } from "../../lib/cut-text.ts";

const maxLength = 300;

/**
 * The first line of a text that ComfyUI wrote, fit for callers: without absolute paths and addresses of the host, of
 * at most 300 characters.
 */
export function toPlainLine(text: string): string {
  const line =
    text
      .trim()
      .split(/[\r\n]/, 1)[0]
      ?.trim() ?? "";
  const clean = line
    .replace(address, "[address]")
    .replace(quotedPath, "$1[path]$1")
    .replace(barePath, "[path]");
  return cutText(clean, maxLength);
}

const address =
  /\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b|\b[a-z][a-z0-9+.-]*:\/\/[^\s'"<>]+|\bhost=(['"])[^'"]*\1/gi;

/** In quotes a path may hold spaces. */
const quotedPath = /(['"`])(?:~?\/|[A-Za-z]:[\\/]|\\\\)[^'"`]*\1/g;

/** A slash or drive letter at the start of a word, but neither "and/or" nor "1 / 2". */
const barePath = /(?<![\w/\\~.)\]-])(?:~?\/[\w.~-]|[A-Za-z]:[\\/]|\\\\\w)[^\s'"`,;()[\]<>]*/g;
