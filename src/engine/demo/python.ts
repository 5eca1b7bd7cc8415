import type { Json } from "./json.ts";

/**
 * An exception as Python code would raise it: what a node's failure looks like to a client. `exceptionType` is the
 * qualified class name, such as `ValueError` or `torch.OutOfMemoryError`.
 */
export class PythonError extends Error {
  override readonly name = "PythonError";
  readonly exceptionType: string;

  constructor(exceptionType: string, message: string) {
    super(message);
    this.exceptionType = exceptionType;
  }
}

/** What ComfyUI reports when the graphics memory does not suffice. */
export function outOfMemory(): PythonError {
  return new PythonError("torch.OutOfMemoryError", "Allocation on device ");
}

/** `repr(value)` of Python for what JSON can hold. */
export function pythonRepr(value: Json | undefined): string {
  if (typeof value === "string") {
    return quoted(value);
  }
  if (Array.isArray(value)) {
    return `[${value.map((item: Json) => pythonRepr(item)).join(", ")}]`;
  }
  if (typeof value === "object" && value !== null) {
    return `{${Object.entries(value)
      .map(([key, item]) => `${quoted(key)}: ${pythonRepr(item)}`)
      .join(", ")}}`;
  }
  return pythonText(value);
}

/** `str(value)` of Python for what JSON can hold. */
export function pythonText(value: Json | undefined): string {
  switch (typeof value) {
    case "string":
      return value;
    case "boolean":
      return value ? "True" : "False";
    case "number":
      return Number.isInteger(value) && Math.abs(value) < 1e16 ? String(value) : pythonFloat(value);
    case "object":
      return value === null ? "None" : pythonRepr(value);
    default:
      return value === undefined ? "None" : String(value);
  }
}

/** `repr(float)` of Python. */
export function pythonFloat(value: number): string {
  if (Number.isNaN(value)) {
    return "nan";
  }
  if (!Number.isFinite(value)) {
    return value > 0 ? "inf" : "-inf";
  }
  if (Number.isInteger(value) && Math.abs(value) < 1e16) {
    return value.toFixed(1);
  }
  return String(value).replace(/e([+-])(\d)$/, "e$10$2");
}

/** Name of the Python type of a JSON value. */
export function pythonType(value: Json): string {
  switch (typeof value) {
    case "string":
      return "str";
    case "boolean":
      return "bool";
    case "bigint":
      return "int";
    case "number":
      return Number.isInteger(value) ? "int" : "float";
    case "object":
      return value === null ? "NoneType" : Array.isArray(value) ? "list" : "dict";
  }
}

/**
 * `int(value)`: truncates fractions, reads decimal text. The result is a `bigint` only where a double cannot hold it.
 *
 * @throws PythonError
 */
export function pythonInt(value: Json): number | bigint {
  if (typeof value === "boolean") {
    return value ? 1 : 0;
  }
  if (typeof value === "bigint") {
    return value;
  }
  if (typeof value === "number") {
    if (!Number.isFinite(value)) {
      throw new PythonError("OverflowError", "cannot convert float infinity to integer");
    }
    const whole = Math.trunc(value);
    return Number.isSafeInteger(whole) ? whole : BigInt(whole);
  }
  if (typeof value === "string") {
    if (!/^\s*[+-]?\d+(_\d+)*\s*$/.test(value)) {
      throw new PythonError("ValueError", `invalid literal for int() with base 10: ${quoted(value)}`);
    }
    const whole = BigInt(value.replaceAll("_", "").replace("+", "").trim());
    return whole >= Number.MIN_SAFE_INTEGER && whole <= Number.MAX_SAFE_INTEGER ? Number(whole) : whole;
  }
  throw new PythonError(
    "TypeError",
    `int() argument must be a string, a bytes-like object or a real number, not '${pythonType(value)}'`,
  );
}

/**
 * `float(value)`
 *
 * @throws PythonError
 */
export function pythonToFloat(value: Json): number {
  if (typeof value === "string") {
    const text = value.trim();
    if (!/^[+-]?(\d[\d_]*\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text)) {
      throw new PythonError("ValueError", `could not convert string to float: ${quoted(value)}`);
    }
    return Number(text.replaceAll("_", ""));
  }
  if (value === null || typeof value === "object") {
    throw new PythonError(
      "TypeError",
      `float() argument must be a string or a real number, not '${pythonType(value)}'`,
    );
  }
  return Number(value);
}

/** `bool(value)` */
export function pythonTruth(value: Json): boolean {
  if (typeof value === "object" && value !== null) {
    return (Array.isArray(value) ? value : Object.keys(value)).length > 0;
  }
  return Boolean(value);
}

function quoted(text: string): string {
  const mark = text.includes("'") && !text.includes('"') ? '"' : "'";
  const escaped = text
    .replaceAll("\\", "\\\\")
    .replaceAll("\n", "\\n")
    .replaceAll("\r", "\\r")
    .replaceAll("\t", "\\t");
  return mark + escaped.replaceAll(mark, `\\${mark}`) + mark;
}
