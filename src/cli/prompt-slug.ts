/**
 * A file name of a prompt: its first words in lower case with hyphens between them, up to 40 characters. Letters of
 * any script stay, accents go. `image` where a prompt has neither letters nor digits.
 */
export function promptSlug(prompt: string): string {
  const words = prompt
    .normalize("NFKD")
    .replace(/\p{Mn}/gu, "")
    .normalize("NFC")
    .toLowerCase()
    .match(/[\p{L}\p{N}]+/gu);
  return words ? joinWords(words) : "image";
}

const maxLength = 40;

function joinWords([first = "", ...rest]: string[]): string {
  // By code points, so that no pair of surrogates is cut in two.
  let slug = [...first].slice(0, maxLength).join("");
  for (const word of rest) {
    if ([...slug].length + 1 + [...word].length > maxLength) break;
    slug += `-${word}`;
  }
  return slug;
}
