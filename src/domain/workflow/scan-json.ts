/** How demanding a JSON text is. */
export interface JsonScan {
  /** Most arrays and objects within each other. */
  readonly depth: number;
  /** Characters of the longest number. */
  readonly longestNumber: number;
}

/**
 * Looks through a JSON text before it is read, since reading one that is nested too deeply, or has a number of a million
 * digits, costs far more than looking. Says nothing sensible of a text that is not JSON, and fails for none.
 */
export function scanJson(text: string): JsonScan {
  let depth = 0;
  let deepest = 0;
  let longestNumber = 0;
  for (const [token] of text.matchAll(stringNumberOrBracket)) {
    const first = token[0];
    if (first === "[" || first === "{") {
      depth += 1;
      deepest = Math.max(deepest, depth);
    } else if (first === "]" || first === "}") {
      depth -= 1;
    } else if (first !== '"') {
      longestNumber = Math.max(longestNumber, token.length);
    }
  }
  return { depth: deepest, longestNumber };
}

/** A string without an end goes to the end of the text, lest each of its quotes be tried as the beginning of another. */
const stringNumberOrBracket = /"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?$)|[-\d][\d.eE+-]*|[[\]{}]/gs;
