declare global {
  // Part of ECMAScript since 2025; TypeScript's libraries do not have it yet.
  interface JSON {
    parse(
      text: string,
      reviver: (key: string, value: unknown, context: { readonly source?: string }) => unknown,
    ): unknown;
    rawJSON(text: string): unknown;
  }
}

/** Writes JSON with every digit of each `bigint`, and times as ISO 8601. */
export function writeJson(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === "bigint" ? JSON.rawJSON(part.toString()) : part,
  );
}

/**
 * Reads what {@link writeJson} wrote. An integer that a `number` cannot hold becomes a `bigint`; one that it can becomes a
 * `number`, whichever it was.
 *
 * @throws SyntaxError if it is not JSON
 */
export function readJson(text: string): unknown {
  return manyDigits.test(text) ? JSON.parse(text, keepInteger) : JSON.parse(text);
}

/** Only a text with so many digits in a row can hold an integer above 2^53. A reviver costs several times the rest. */
const manyDigits = /\d{16}/;

const integer = /^-?\d+$/;

function keepInteger(_key: string, value: unknown, { source }: { readonly source?: string }): unknown {
  const isTooLarge = typeof value === "number" && !Number.isSafeInteger(value);
  return isTooLarge && source !== undefined && integer.test(source) ? BigInt(source) : value;
}
