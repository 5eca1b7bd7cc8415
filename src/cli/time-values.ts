import { InvalidArgumentError } from "commander";

/**
 * Reads a length of time such as `90s`, `15m`, `1h30m`, `1.5h` or `7d`; returns milliseconds.
 *
 * @throws InvalidArgumentError if `text` is none
 */
export function parseDuration(text: string): number {
  const timeMs = readDuration(text);
  if (timeMs === undefined) throw new InvalidArgumentError("Write it as 90s, 15m, 1h30m or 7d.");
  return timeMs;
}

/**
 * Reads a moment: a time of day by RFC 3339, such as `2026-03-01T12:00:00Z` or the day alone, or the length of time
 * that has passed since then, such as `2h`.
 *
 * @throws InvalidArgumentError if `text` is neither
 */
export function parseMoment(text: string, now: Date): Date {
  const agoMs = readDuration(text);
  if (agoMs !== undefined) return new Date(now.getTime() - agoMs);
  const moment = isTimestamp.test(text) ? new Date(text.replace(" ", "T")) : undefined;
  if (moment === undefined || Number.isNaN(moment.getTime())) {
    throw new InvalidArgumentError("Write it as 2026-03-01T12:00:00Z, or as a time ago such as 2h.");
  }
  return moment;
}

/** A time without a zone would be another moment on another machine, so it is not taken. */
const isTimestamp = /^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/i;

function readDuration(text: string): number | undefined {
  if (!/^(\d+(\.\d+)?(ms|[smhd]))+$/i.test(text)) return undefined;
  const parts = text.toLowerCase().matchAll(/([\d.]+)(ms|[smhd])/g);
  const timeMs = [...parts].reduce(
    (sum, [, count, unit = ""]) => sum + Number(count) * (msPerUnit[unit] ?? 0),
    0,
  );
  return timeMs <= maxDurationMs ? Math.round(timeMs) : undefined;
}

const msPerUnit: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** A hundred years, which any clock and any message can hold. */
const maxDurationMs = 100 * 365 * 86_400_000;
