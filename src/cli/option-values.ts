import { InvalidArgumentError } from "commander";

/** Width and height in pixels. */
export interface Size {
  readonly widthPx: number;
  readonly heightPx: number;
}

/** A LoRA and its strengths; those that were not given are absent. */
export interface LoraFlag {
  readonly name: string;
  readonly modelStrength?: number;
  readonly clipStrength?: number;
}

/**
 * Reads `768x512`.
 *
 * @throws InvalidArgumentError, as all functions here do. They check only what can be carried; ranges are the
 *   service's to check, which knows its limits.
 */
export function parseSize(text: string): Size {
  const [, width, height] = /^(\d+)[x×](\d+)$/i.exec(text.trim()) ?? [];
  if (width === undefined || height === undefined) {
    throw new InvalidArgumentError("Write it as WIDTHxHEIGHT, such as 768x512.");
  }
  return { widthPx: parseWholeNumber(width), heightPx: parseWholeNumber(height) };
}

/** Reads `name`, `name:model-strength` or `name:model-strength:clip-strength`, such as `film.safetensors:0.8:0.5`. */
export function parseLora(text: string): LoraFlag {
  const [name = "", model, clip, ...more] = text.split(":");
  if (name.trim() === "" || more.length > 0) {
    throw new InvalidArgumentError("Write it as NAME, NAME:0.8 or NAME:0.8:0.5.");
  }
  return {
    name,
    ...(model === undefined ? {} : { modelStrength: parseNumber(model) }),
    ...(clip === undefined ? {} : { clipStrength: parseNumber(clip) }),
  };
}

/** Reads a seed: 0 to 2^64-1, in full. */
export function parseSeed(text: string): bigint {
  const seed = /^\d+$/.test(text) ? BigInt(text) : undefined;
  if (seed === undefined || seed > maxUint64) {
    throw new InvalidArgumentError("A seed is a whole number from 0 to 18446744073709551615.");
  }
  return seed;
}

/** Reads the number of an event: 0 to 2^64-1, in full. */
export function parseSequence(text: string): bigint {
  const sequence = /^\d+$/.test(text) ? BigInt(text) : undefined;
  if (sequence === undefined || sequence > maxUint64) {
    throw new InvalidArgumentError("It takes the number of an event.");
  }
  return sequence;
}

/** Reads a whole number from 0 to 2^32-1. */
export function parseWholeNumber(text: string): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(value <= maxUint32)) throw new InvalidArgumentError("It takes a whole number.");
  return value;
}

/** Reads a decimal number, such as `-0.5`. */
export function parseNumber(text: string): number {
  const value = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : Number.NaN;
  if (!Number.isFinite(value)) throw new InvalidArgumentError("It takes a number.");
  return value;
}

/** Reads a number of seconds above 0, and below the 24 days that a timer can wait; returns milliseconds. */
export function parseSeconds(text: string): number {
  const timeMs = Math.round(parseNumber(text) * 1000);
  if (timeMs < 1 || timeMs > maxTimerMs) {
    throw new InvalidArgumentError("It takes a number of seconds above 0, such as 90.");
  }
  return timeMs;
}

/** Reads a number of bytes, such as `65536`, `512KiB` or `4MiB`. */
export function parseByteCount(text: string): number {
  const [, digits, unit = ""] = /^(\d+)(?:([km])i?b?)?$/i.exec(text.trim()) ?? [];
  const byteCount = Number(digits) * (bytesPerUnit[unit.toLowerCase()] ?? Number.NaN);
  if (!(byteCount <= maxUint32)) throw new InvalidArgumentError("Write it as 65536, 512KiB or 4MiB.");
  return byteCount;
}

const maxUint64 = 2n ** 64n - 1n;
const maxUint32 = 2 ** 32 - 1;
const maxTimerMs = 2 ** 31 - 1;
const bytesPerUnit: Readonly<Record<string, number>> = { "": 1, k: 1024, m: 1024 ** 2 };
