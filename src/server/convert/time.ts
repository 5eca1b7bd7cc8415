import { type Duration, durationFromMs, durationMs, type Timestamp } from "@bufbuild/protobuf/wkt";
import { invalidField } from "../invalid-fields.ts";

/** Writes a length of time in whole microseconds: the clock knows no finer. */
export function toDuration(ms: number): Duration {
  const microseconds = Math.round(ms * 1_000);
  const whole = durationFromMs(Math.trunc(microseconds / 1_000));
  whole.nanos += (microseconds % 1_000) * 1_000;
  return whole;
}

/**
 * Reads a length of time in milliseconds. The rules of the schema bound it, but do not see whether its parts fit
 * together; in JSON they always do.
 *
 * @param field path in the request, for the error
 * @throws ServiceError `INVALID_FIELD` if seconds and nanoseconds differ in sign, or there are too many of the latter
 */
export function fromDuration(duration: Duration, field: string): number {
  const { nanos, seconds } = duration;
  const contradicts = (seconds > 0n && nanos < 0) || (seconds < 0n && nanos > 0);
  if (contradicts || Math.abs(nanos) >= nanosPerSecond) {
    throw invalidField(field, "nanos must be below 1,000,000,000 and have the sign of seconds");
  }
  return durationMs(duration);
}

/**
 * Reads a bound of moments that are whole milliseconds: the first of them that is not before it.
 *
 * @param field path in the request, for the error
 * @throws ServiceError `INVALID_FIELD` if it is not between the years 1 and 9999
 */
export function fromTimestamp({ seconds, nanos }: Timestamp, field: string): Date {
  if (seconds < firstSecond || seconds > lastSecond || nanos < 0 || nanos >= nanosPerSecond) {
    throw invalidField(field, "must lie between the years 1 and 9999, with nanos of 0 to 999,999,999");
  }
  return new Date(Number(seconds) * 1_000 + Math.ceil(nanos / 1_000_000));
}

const nanosPerSecond = 1_000_000_000;
const firstSecond = BigInt(Date.parse("0001-01-01T00:00:00Z")) / 1_000n;
const lastSecond = BigInt(Date.parse("9999-12-31T23:59:59Z")) / 1_000n;
