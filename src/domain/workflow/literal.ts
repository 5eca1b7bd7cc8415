import type { GraphValue } from "../graph.ts";

/** A value as ComfyUI sees it once it has converted it to the type of its input. */
export type ConvertedLiteral =
  | { readonly ok: true; readonly value: GraphValue }
  /** Python refuses to convert it. */
  | { readonly ok: false };

/**
 * Converts a literal to the type of its input by Python's rules, as ComfyUI does when it checks a graph: texts that spell
 * a number are numbers, and anything is a text, or true or false.
 */
export function convertLiteral(value: GraphValue, type: string): ConvertedLiteral {
  switch (type) {
    case "INT":
      return asConverted(toInteger(value));
    case "FLOAT":
      return asConverted(toFloat(value));
    case "STRING":
      return { ok: true, value: typeof value === "string" ? value : "" };
    case "BOOLEAN":
      return { ok: true, value: isTrue(value) };
    default:
      return { ok: true, value };
  }
}

/** The literal within `{"__value__": …}`, by which a graph gives a list that is no link. */
export function unwrapLiteral(value: GraphValue): GraphValue {
  return typeof value === "object" && value !== null && !isList(value) && Object.hasOwn(value, "__value__")
    ? (value.__value__ ?? null)
    : value;
}

/** `Array.isArray` does not narrow read-only arrays. */
export function isList(value: GraphValue): value is readonly GraphValue[] {
  return Array.isArray(value);
}

/** The number that Python compares, true being 1; `undefined` for what it cannot compare with a number. */
export function toComparable(value: GraphValue): number | bigint | undefined {
  if (typeof value === "boolean") {
    return Number(value);
  }
  return typeof value === "number" || typeof value === "bigint" ? value : undefined;
}

/** Whether Python finds `value` in `choices`: 1, 1.0 and true are equal there, texts only to the same text. */
export function isAmong(value: GraphValue, choices: readonly GraphValue[]): boolean {
  const number = toComparable(value);
  return choices.some((choice) => {
    if (choice === value) {
      return true;
    }
    const other = number === undefined ? undefined : toComparable(choice);
    // Not strictly, as a number and a bigint can be equal.
    return other !== undefined && number !== undefined && !(other < number) && !(other > number);
  });
}

function asConverted(value: number | bigint | undefined): ConvertedLiteral {
  return value === undefined ? { ok: false } : { ok: true, value };
}

function toInteger(value: GraphValue): number | bigint | undefined {
  if (typeof value === "string") {
    const digits = value.trim();
    return digits.length <= longestInteger && integerText.test(digits)
      ? BigInt(digits.replaceAll("_", "").replace(/^\+/, ""))
      : undefined;
  }
  const number = toComparable(value);
  return typeof number === "number" ? Math.trunc(number) : number;
}

function toFloat(value: GraphValue): number | undefined {
  if (typeof value === "string") {
    const text = value.trim();
    if (specialFloat.test(text)) {
      return /nan/i.test(text) ? Number.NaN : text.startsWith("-") ? -Infinity : Infinity;
    }
    return floatText.test(text) ? Number(text.replaceAll("_", "")) : undefined;
  }
  const number = toComparable(value);
  return number === undefined ? undefined : Number(number);
}

function isTrue(value: GraphValue): boolean {
  if (typeof value === "object" && value !== null) {
    return (isList(value) ? value : Object.keys(value)).length > 0;
  }
  return Boolean(value);
}

/** Python refuses to read longer ones. */
const longestInteger = 4_300;

const integerText = /^[+-]?\d+(?:_\d+)*$/;

const floatText = /^[+-]?(?:\d+(?:_\d+)*(?:\.(?:\d+(?:_\d+)*)?)?|\.\d+(?:_\d+)*)(?:[eE][+-]?\d+(?:_\d+)*)?$/;

const specialFloat = /^[+-]?(?:inf|infinity|nan)$/i;
