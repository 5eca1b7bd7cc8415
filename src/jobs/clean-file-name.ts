/**
 * The name of a file without its folders, of either kind of slash, and without what cannot be seen; at most 255
 * characters, of which the end with the extension counts most. Empty if nothing is left of it.
 */
export function cleanFileName(path: string): string {
  const name = path.replace(/^.*[/\\]/s, "").toWellFormed();
  const visible = name.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "").trim();
  return /^\.*$/.test(visible) ? "" : Array.from(visible).slice(-255).join("");
}
