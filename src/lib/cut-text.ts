/**
 * The beginning of `text`, with `…` for the last where it is longer than `length` UTF-16 code units. Never ends in half a
 * character.
 */
export function cutText(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length - 1).toWellFormed()}…` : text;
}
