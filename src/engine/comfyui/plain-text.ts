import { cutText } from "../../lib/cut-text.ts";

const maxLength = 300;

/**
 * The first line of a text that ComfyUI wrote, with the second if a colon ends the first, fit for callers: without
 * absolute paths and addresses of the host, of at most 300 characters.
 */
export function toPlainLine(text: string): string {
  const [first = "", second = ""] = text.trim().split(/[\r\n]+/, 2);
  const line = first.trimEnd().endsWith(":") ? `${first.trimEnd()} ${second.trim()}` : first;
  const clean = line
    .trim()
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
