import type { CliIo } from "./io.ts";

/** Writes `lines` to standard error; on a terminal, those that are too long go on in the next line after a space. */
export function writeLines(io: CliIo, lines: readonly string[]): void {
  for (const line of lines) {
    const parts = io.isTty ? wrapLine(line, io.columns) : [line];
    for (const part of parts) io.stderr.write(`${part}\n`);
  }
}

/** Breaks `line` between words into lines of at most `columns` characters, as far as its words allow. */
function wrapLine(line: string, columns: number): string[] {
  const indent = /^ */.exec(line)?.[0] ?? "";
  const [first = "", ...words] = line.slice(indent.length).split(" ");
  const lines = [indent + first];
  for (const word of words) {
    const last = lines.at(-1) ?? "";
    if (last.length + 1 + word.length > columns) lines.push(`${indent}  ${word}`);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}
