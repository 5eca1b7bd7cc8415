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

/**
 * Reads JSON as ComfyUI writes it. An integer that a `number` cannot hold becomes a `bigint`. Python's bare `NaN`,
 * `Infinity` and `-Infinity`, which no JSON has, become `null`.
 *
 * @throws SyntaxError if it is not JSON even so
 */
export function parseWireJson(text: string): unknown {
  try {
    return parseExactly(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) {
      throw error;
    }
    return parseExactly(withoutBareTokens(text));
  }
}

/** Writes JSON with every digit of each `bigint`. Numbers that are not finite become `null`, as in `JSON.stringify`. */
export function writeWireJson(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === "bigint" ? JSON.rawJSON(part.toString()) : part,
  );
}

/** Only a text with so many digits in a row can hold an integer above 2^53. A reviver costs several times the rest. */
const manyDigits = /\d{16}/;

function parseExactly(text: string): unknown {
  return manyDigits.test(text) ? JSON.parse(text, keepInteger) : JSON.parse(text);
}

const integer = /^-?\d+$/;

function keepInteger(_key: string, value: unknown, { source }: { readonly source?: string }): unknown {
  return typeof value === "number" &&
    !Number.isSafeInteger(value) &&
    source !== undefined &&
    integer.test(source)
    ? BigInt(source)
    : value;
}

const stringOrBareToken = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\bInfinity\b|\bNaN\b/gs;

function withoutBareTokens(text: string): string {
  return text.replace(stringOrBareToken, (match) => (match.startsWith('"') ? match : "null"));
}
