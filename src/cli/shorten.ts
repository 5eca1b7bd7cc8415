/** The first `length` characters of `text`, with `…` for the last where it was longer; empty if that leaves nothing of it. */
export function shorten(text: string, length: number): string {
  const characters = [...text];
  if (characters.length <= length) return text;
  return length < 2
    ? ""
    : `${characters
        .slice(0, length - 1)
        .join("")
        .trimEnd()}…`;
}
