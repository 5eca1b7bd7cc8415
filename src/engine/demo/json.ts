/** A JSON value in which integers that a double cannot hold are `bigint`s. */
export type Json =
  | string
  | number
  | bigint
  | boolean
  | null
  | readonly Json[]
  | { readonly [key: string]: Json };

/** A JSON object. */
export type JsonObject = { readonly [key: string]: Json };

declare global {
  /** Parts of ECMAScript's "JSON.parse source text access" that the compiler's library does not list. */
  interface JSON {
    rawJSON(text: string): object;
    parse(
      text: string,
      reviver: (this: unknown, key: string, value: unknown, context: { readonly source?: string }) => unknown,
    ): unknown;
  }
}

/**
 * Parses JSON without losing digits: an integer beyond ±(2^53 − 1) becomes a `bigint`.
 *
 * @throws SyntaxError if `text` is no JSON
 */
export function parseJson(text: string): Json {
  // Reading every value through a function is several times slower, so it is done only where it can matter.
  const parsed: unknown = MANY_DIGITS.test(text) ? JSON.parse(text, keepDigits) : JSON.parse(text);
  // What `JSON.parse` makes is JSON; with `keepDigits`, JSON and bigints.
  return parsed as Json;
}

/** Writes JSON, `bigint`s as plain integers. Values that JSON does not know are left out, as `JSON.stringify` does. */
export function stringifyJson(value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch (error) {
    if (!(error instanceof TypeError)) {
      throw error;
    }
    // There is a bigint in it. Looking at every value is several times slower, so it is done only then.
    return JSON.stringify(value, (_, item: unknown) =>
      typeof item === "bigint" ? JSON.rawJSON(item.toString()) : item,
    );
  }
}

/** Whether `value` is an object, and neither a list nor null. */
export function isJsonObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const MANY_DIGITS = /\d{16}/;

function keepDigits(_key: string, value: unknown, { source }: { readonly source?: string }): unknown {
  return typeof value === "number" &&
    source !== undefined &&
    /^-?\d+$/.test(source) &&
    !Number.isSafeInteger(value)
    ? BigInt(source)
    : value;
}
